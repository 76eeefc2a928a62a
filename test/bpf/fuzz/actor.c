// SPDX-License-Identifier: Apache-2.0
// Long: each socket call that can be drawn.
/* The processes and threads that make the calls. None knows in which world it is. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DUPLICATES = 3, EXACT_MS = 5000 };

static struct world *mine;
static int fds[ENDS][DUPLICATES], counts[ENDS];
static int listener = -1, epoll_fd = -1, passage[PROCESSES];
static int process; /* the number of this process */
static __thread uint32_t pipes;

static void on_pipe(int signal)
{
	(void)signal;
	pipes++;
}

static void on_signal(int signal)
{
	(void)signal;
}

static void catch (int number, void (*handler)(int), bool is_restarting)
{
	struct sigaction action = { 0 };

	action.sa_handler = handler;
	action.sa_flags = is_restarting ? SA_RESTART : 0;
	sigaction(number, &action, NULL);
}

static int get_fd(int end)
{
	return counts[end] ? fds[end][counts[end] - 1] : -1;
}

static bool keep(int end, int fd)
{
	if (fd < 0)
		return false;
	if (counts[end] == DUPLICATES)
		die("end %d: too many descriptors", end);
	fds[end][counts[end]++] = fd;
	return true;
}

static void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("setsockopt(%d, %d): %s", level, name, strerror(errno));
}

static void prepare(int fd)
{
	if (mine->plan.is_nodelay)
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (mine->plan.is_inline)
		set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

static void open_listener(void)
{
	struct sockaddr_in6 address = { 0 };
	bool is_four = mine->plan.family == 0;

	listener = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM, 0);
	address.sin6_family = is_four ? AF_INET : AF_INET6;
	if (mine->plan.buffer[1])
		set_int(listener, SOL_SOCKET, SO_RCVBUF, mine->plan.buffer[1]);
	if (bind(listener, (struct sockaddr *)&address, is_four ? 16 : sizeof(address)) ||
	    listen(listener, 16))
		die("listener: %s", strerror(errno));
}

/* Connects a new socket, or the one that was disconnected. */
static int64_t connect_end(const struct step *step)
{
	struct sockaddr_in6 address = { 0 }, to = { 0 };
	struct sockaddr_in *to4 = (struct sockaddr_in *)&to;
	socklen_t length = sizeof(address);
	bool is_six = mine->plan.family == 1;
	int fd = get_fd(step->end);

	getsockname(listener, (struct sockaddr *)&address, &length);
	if (is_six) {
		to.sin6_family = AF_INET6;
		to.sin6_port = address.sin6_port;
		to.sin6_addr = in6addr_loopback;
	} else {
		to4->sin_family = AF_INET;
		to4->sin_port = address.sin6_port;
		to4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	if (fd < 0) {
		fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		if (mine->plan.buffer[0])
			set_int(fd, SOL_SOCKET, SO_RCVBUF, mine->plan.buffer[0]);
		prepare(fd);
		keep(step->end, fd);
	}
	return connect(fd, (struct sockaddr *)&to, is_six ? sizeof(to) : sizeof(*to4));
}

/* From then on, the descriptors of the end belong to the next connection. */
static int64_t disconnect(const struct step *step)
{
	struct sockaddr none = { AF_UNSPEC, { 0 } };
	int fd = get_fd(step->end);
	int64_t value = connect(fd, &none, sizeof(none));

	if (value == 0) {
		memcpy(fds[step->value], fds[step->end], sizeof(fds[0]));
		counts[step->value] = counts[step->end];
		counts[step->end] = 0;
	}
	return value;
}

static int64_t accept_end(const struct step *step)
{
	int fd = accept(listener, NULL, NULL);

	if (!keep(step->end, fd))
		return -1;
	prepare(fd);
	return 0;
}

static void *play_second(void *actor)
{
	play(mine, *(int *)actor);
}

static void start_second(void)
{
	static int actor;
	pthread_t thread;

	if (!mine->plan.has_threads)
		return;
	actor = process + PROCESSES;
	if (pthread_create(&thread, NULL, play_second, &actor))
		die("pthread_create");
}

static int64_t fork_process(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid > 0 ? 0 : -1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	process = 1;
	if (epoll_fd >= 0)
		close(epoll_fd);
	epoll_fd = -1;
	start_second();
	play(mine, 1);
}

static int cut(struct iovec pieces[3], uint8_t *bytes, size_t size)
{
	size_t first = size / 3, second = size / 2;

	pieces[0] = (struct iovec){ bytes, first };
	pieces[1] = (struct iovec){ bytes + first, second - first };
	pieces[2] = (struct iovec){ bytes + second, size - second };
	return 3;
}

static int64_t send_file(int fd, const uint8_t *bytes, size_t size)
{
	int file = memfd_create("fuzz", 0), error;
	off_t at = 0;
	int64_t value;

	if (file < 0 || write(file, bytes, size) != (ssize_t)size)
		die("memfd: %s", strerror(errno));
	value = sendfile(fd, file, &at, size);
	error = errno;
	close(file);
	errno = error;
	return value;
}

static int64_t send_bytes(const struct desk *desk, uint8_t *bytes)
{
	const struct step *step = &desk->step;
	int fd = get_fd(step->end);
	struct iovec pieces[3];
	struct msghdr message = { 0 };

	message.msg_iov = pieces;
	message.msg_iovlen = (size_t)cut(pieces, bytes, step->size);
	switch (step->way) {
	case WAY_FILE:
		return write(fd, bytes, step->size);
	case WAY_VECTOR:
		return writev(fd, pieces, 3);
	case WAY_MESSAGE:
		return sendmsg(fd, &message, step->flags);
	case WAY_SENDFILE:
		return send_file(fd, bytes, step->size);
	default:
		return send(fd, bytes, step->size, step->flags);
	}
}

/* Sends all of it, even with O_NONBLOCK. Returns how much was sent before an error. */
static int64_t send_rest(const struct desk *desk, const uint8_t *bytes)
{
	struct pollfd entry = { get_fd(desk->step.end), POLLOUT, 0 };
	size_t done = 0;

	while (done < desk->step.size) {
		ssize_t n = send(entry.fd, bytes + done, desk->step.size - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			poll(&entry, 1, -1);
		else if (errno != EINTR)
			break;
	}
	if (done == desk->step.size)
		errno = 0;
	return (int64_t)done;
}

static int64_t send_burst(const struct desk *desk, uint8_t *bytes)
{
	uint64_t state = desk->key + desk->offset;
	size_t done = 0;

	while (done < desk->step.size) {
		size_t size = 1 + draw(&state, 40);
		ssize_t n;

		if (size > desk->step.size - done)
			size = desk->step.size - done;
		n = send(get_fd(desk->step.end), bytes + done, size, MSG_NOSIGNAL);
		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			break;
	}
	if (done == desk->step.size)
		errno = 0;
	return (int64_t)done;
}

static int64_t send_any(struct desk *desk)
{
	uint8_t *bytes = malloc(desk->step.size + 1);
	int64_t value;
	int error;

	fill(bytes, desk->key, desk->offset, desk->step.size);
	errno = 0;
	switch (desk->step.call) {
	case CALL_BURST:
		value = send_burst(desk, bytes);
		break;
	case CALL_HUGE:
	case CALL_SEND_REST:
		value = send_rest(desk, bytes);
		break;
	default:
		value = send_bytes(desk, bytes);
	}
	error = errno;
	free(bytes);
	errno = error;
	return value;
}

static int64_t receive(struct desk *desk)
{
	const struct step *step = &desk->step;
	int fd = get_fd(step->end);
	bool is_nowhere = (step->flags & MSG_TRUNC) && step->value;
	struct iovec pieces[3];
	struct msghdr message = { 0 };

	message.msg_iov = pieces;
	message.msg_iovlen = (size_t)cut(pieces, desk->bytes, step->size);
	switch (step->way) {
	case WAY_FILE:
		return read(fd, desk->bytes, step->size);
	case WAY_VECTOR:
		return readv(fd, pieces, 3);
	case WAY_MESSAGE:
		return recvmsg(fd, &message, step->flags);
	default:
		return recv(fd, is_nowhere ? NULL : desk->bytes, step->size, step->flags);
	}
}

/*
 * Reads until nothing is left or the buffer is full. The result's detail is the errno that ended
 * it, or 0 for the end of the stream.
 */
static void read_all(struct desk *desk)
{
	int64_t done = 0;
	uint64_t state = desk->key + desk->offset;

	desk->result.detail = EMSGSIZE;
	while (done < BUFFER) {
		size_t size = 1 + draw(&state, 100000);
		ssize_t n = recv(get_fd(desk->step.end), desk->bytes + done,
				 size < (size_t)(BUFFER - done) ? size : (size_t)(BUFFER - done),
				 MSG_DONTWAIT);

		if (n > 0) {
			done += n;
			continue;
		}
		desk->result.detail = n ? (uint32_t)errno : 0;
		break;
	}
	desk->result.value = done;
	desk->result.error = 0;
}

/* Reads as many bytes as the other world had, and gives those under way some time. */
static void read_exact(struct desk *desk)
{
	int fd = get_fd(desk->step.end);
	uint64_t until = now_ns() + (uint64_t)(EXACT_MS * slowness) * 1000000;
	int64_t done = 0;

	desk->result.error = 0;
	while (done < desk->step.size) {
		ssize_t n =
			recv(fd, desk->bytes + done, desk->step.size - (size_t)done, MSG_DONTWAIT);

		if (n > 0) {
			done += n;
		} else if ((n == 0 || errno == EAGAIN) && now_ns() < until) {
			/*
			 * No poll() here, because SO_RCVLOWAT may hide the bytes from it. After
			 * SHUT_RD the end may come before them.
			 */
			sleep_ns(200000);
		} else {
			desk->result.error = n ? errno : 0;
			break;
		}
	}
	desk->result.value = done;
}

static int64_t poll_end(struct desk *desk)
{
	struct pollfd entry = { get_fd(desk->step.end), (short)desk->step.flags, 0 };
	int64_t value = poll(&entry, 1, -1);

	desk->result.detail = (uint32_t)(uint16_t)entry.revents;
	return value;
}

static int64_t control_epoll(const struct step *step)
{
	struct epoll_event event = { (uint32_t)step->flags, { .u32 = (uint32_t)step->end } };

	if (epoll_fd < 0)
		epoll_fd = epoll_create1(0);
	return epoll_ctl(epoll_fd, step->value, get_fd(step->end), &event);
}

/* Keeps the events of all ends, because epoll reports an edge only once. */
static int64_t wait_epoll(struct desk *desk)
{
	struct epoll_event events[ENDS] = { 0 };
	int64_t value;

	if (epoll_fd < 0)
		epoll_fd = epoll_create1(0);
	value = epoll_wait(epoll_fd, events, ENDS, desk->step.value);
	memset(desk->views, 0, sizeof(desk->views));
	for (int i = 0; i < value; i++)
		desk->views[events[i].data.u32].events = events[i].events;
	return value;
}

static int64_t close_end(const struct step *step)
{
	struct linger linger = { 1, 0 };
	int fd = get_fd(step->end);

	if (step->call == CALL_RESET)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	counts[step->end]--;
	return close(fd);
}

static int64_t pass_end(const struct step *step)
{
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = space,
				  .msg_controllen = sizeof(space) };
	struct cmsghdr *control = CMSG_FIRSTHDR(&message);
	int fd = get_fd(step->end);

	if (step->call == CALL_PASS) {
		control->cmsg_level = SOL_SOCKET;
		control->cmsg_type = SCM_RIGHTS;
		control->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(control), &fd, sizeof(fd));
		return sendmsg(passage[process], &message, 0);
	}
	if (recvmsg(passage[process], &message, 0) != 1)
		die("the descriptor that was passed: %s", strerror(errno));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return keep(step->end, fd) ? 1 : -1;
}

static int64_t splice_out(const struct step *step)
{
	int ends[2], flags = fcntl(get_fd(step->end), F_GETFL), error;
	int64_t value;

	if (pipe(ends))
		die("pipe: %s", strerror(errno));
	fcntl(get_fd(step->end), F_SETFL, flags | O_NONBLOCK);
	value = splice(get_fd(step->end), NULL, ends[1], NULL, step->size, SPLICE_F_NONBLOCK);
	error = errno;
	fcntl(get_fd(step->end), F_SETFL, flags);
	close(ends[1]);
	if (value > 0 && read(ends[0], mine->actors[step->actor].bytes, (size_t)value) != value)
		die("pipe: %s", strerror(errno));
	close(ends[0]);
	errno = error;
	return value;
}

static int64_t call_names(struct desk *desk)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t length = sizeof(address);
	int64_t value = getsockname(get_fd(desk->step.end), (struct sockaddr *)&address, &length);

	desk->result.detail = address.sin6_family;
	length = sizeof(address);
	return value ? value
		     : getpeername(get_fd(desk->step.end), (struct sockaddr *)&address, &length);
}

static int64_t get_option(int fd, int level, int number)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, number, &value, &length) ? -1 : value;
}

static int64_t get_count(int fd, unsigned long request)
{
	int value = 0;

	return ioctl(fd, request, &value) ? -1 : value;
}

static void look(struct desk *desk)
{
	memset(desk->views, 0, sizeof(desk->views));
	for (int end = 0; end < ENDS; end++) {
		struct view *view = &desk->views[end];
		struct pollfd entry = { get_fd(end), POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 };
		struct tcp_info info = { 0 };
		socklen_t length = sizeof(info);

		if (entry.fd < 0)
			continue;
		view->is_open = true;
		poll(&entry, 1, 0);
		view->events = (uint32_t)(uint16_t)entry.revents;
		if (getsockopt(entry.fd, IPPROTO_TCP, TCP_INFO, &info, &length))
			die("TCP_INFO: %s", strerror(errno));
		view->state = info.tcpi_state;
		view->sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
		view->received = info.tcpi_bytes_received;
		view->waiting = info.tcpi_notsent_bytes;
	}
}

static int64_t set_nonblock(const struct step *step)
{
	int flags = fcntl(get_fd(step->end), F_GETFL);

	return fcntl(get_fd(step->end), F_SETFL,
		     step->value ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static int64_t call(struct desk *desk)
{
	const struct step *step = &desk->step;
	const struct socket_option *option = &options[step->option];
	int fd = get_fd(step->end);

	switch (step->call) {
	case CALL_CONNECT:
		return connect_end(step);
	case CALL_ACCEPT:
		return accept_end(step);
	case CALL_FORK:
		return fork_process();
	case CALL_SEND:
	case CALL_BURST:
	case CALL_HUGE:
	case CALL_SEND_REST:
		return send_any(desk);
	case CALL_RECV:
		return receive(desk);
	case CALL_POLL:
		return poll_end(desk);
	case CALL_EPOLL_CTL:
		return control_epoll(step);
	case CALL_EPOLL_WAIT:
		return wait_epoll(desk);
	case CALL_SHUTDOWN:
		return shutdown(fd, step->flags);
	case CALL_CLOSE:
	case CALL_RESET:
		return close_end(step);
	case CALL_DISCONNECT:
		return disconnect(step);
	case CALL_SET:
		return setsockopt(fd, option->level, option->number, &step->value,
				  sizeof(step->value));
	case CALL_GET:
		return get_option(fd, option->level, option->number);
	case CALL_ERROR:
		return get_option(fd, SOL_SOCKET, SO_ERROR);
	case CALL_UNREAD:
		return get_count(fd, FIONREAD);
	case CALL_OUTQ:
		return get_count(fd, SIOCOUTQ);
	case CALL_NAMES:
		return call_names(desk);
	case CALL_DUP:
		return keep(step->end, dup(fd)) ? 0 : -1;
	case CALL_PASS:
	case CALL_TAKE:
		return pass_end(step);
	case CALL_NONBLOCK:
		return set_nonblock(step);
	case CALL_SPLICE:
		return splice_out(step);
	default:
		die("call %d", step->call);
	}
}

void perform(struct desk *desk)
{
	pipes = 0;
	desk->result = (struct result){ 0 };
	switch (desk->step.call) {
	case CALL_READ_ALL:
		read_all(desk);
		break;
	case CALL_READ_EXACT:
		read_exact(desk);
		break;
	case CALL_LOOK:
		look(desk);
		break;
	default:
		errno = 0;
		desk->result.value = call(desk);
		desk->result.error = desk->result.value < 0 || desk->step.call == CALL_BURST ||
						     desk->step.call == CALL_HUGE ||
						     desk->step.call == CALL_SEND_REST
					     ? errno
					     : 0;
	}
	desk->result.pipes = pipes;
}

void play(struct world *world, int actor)
{
	struct desk *desk = &world->actors[actor];

	if (!mine) {
		mine = world;
		catch (SIGPIPE, on_pipe, true);
		catch (SIGUSR1, on_signal, world->plan.is_restarting);
		signal(SIGCHLD, SIG_IGN);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, passage))
			die("socketpair: %s", strerror(errno));
		open_listener();
		start_second();
	}
	desk->process = getpid();
	desk->thread = (pid_t)syscall(SYS_gettid);
	for (;;) {
		wait_turn(desk, ASKED);
		perform(desk);
		set_turn(desk, DONE);
	}
}
