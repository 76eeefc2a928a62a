// SPDX-License-Identifier: Apache-2.0
// Long: it replaces each function of libc that the program uses.
/*
 * Replaces libc, whose start-up code alone would be a third of the program: it has the few
 * functions that the probe uses, under their usual names. The other files also build with any libc
 * and without this file.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TEXT(number) #number

#if defined(__x86_64__)

#define CALL(name, number)                                               \
	__asm__(".pushsection .text\n.global " #name "\n" #name ":\n"    \
		"	mov $" TEXT(number) ", %eax\n	jmp system_call\n" \
					    ".popsection\n")

__asm__(".pushsection .text\n"
	".global _start\n_start:\n"
	"	xor %ebp, %ebp\n	mov %rsp, %rdi\n	and $-16, %rsp\n	call "
	"start\n"
	"system_call:\n"
	"	mov %rcx, %r10\n	syscall\n"
	"	cmp $-4095, %rax\n	jae 1f\n	ret\n"
	"1:	mov %rax, %rdi\n	jmp set_error\n"
	".global syscall\nsyscall:\n"
	"	mov %rdi, %rax\n	mov %rsi, %rdi\n	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n	mov %r8, %rcx\n	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n	jmp system_call\n"
	"return_from_signal:\n"
	"	mov $" TEXT(15) ", %eax\n	syscall\n"
				".popsection\n");

static const char clock_name[] = "__vdso_clock_gettime";

#elif defined(__aarch64__)

#define CALL(name, number)                                            \
	__asm__(".pushsection .text\n.global " #name "\n" #name ":\n" \
		"	mov x8, #" TEXT(number) "\n	b system_call\n"  \
						".popsection\n")

__asm__(".pushsection .text\n"
	".global _start\n_start:\n"
	"	mov x29, #0\n	mov x30, #0\n	mov x0, sp\n	bl start\n"
	"system_call:\n"
	"	svc #0\n	cmn x0, #4095\n	b.hs set_error\n	ret\n"
	".global syscall\nsyscall:\n"
	"	mov x8, x0\n	mov x0, x1\n	mov x1, x2\n	mov x2, x3\n"
	"	mov x3, x4\n	mov x4, x5\n	mov x5, x6\n	b system_call\n"
	"return_from_signal:\n"
	"	mov x8, #139\n	svc #0\n"
	".popsection\n");

static const char clock_name[] = "__kernel_clock_gettime";

#else
#error "expected x86_64 or aarch64"
#endif

/* These take the same arguments in the same order as the system calls. */
CALL(accept4, SYS_accept4);
CALL(bind, SYS_bind);
CALL(close, SYS_close);
CALL(connect, SYS_connect);
CALL(dup3, SYS_dup3);
CALL(epoll_create1, SYS_epoll_create1);
CALL(epoll_ctl, SYS_epoll_ctl);
CALL(execve, SYS_execve);
CALL(fcntl, SYS_fcntl);
CALL(flock, SYS_flock);
CALL(fstat, SYS_fstat);
CALL(getpid, SYS_getpid);
CALL(getppid, SYS_getppid);
CALL(getsockname, SYS_getsockname);
CALL(getsockopt, SYS_getsockopt);
CALL(ioctl, SYS_ioctl);
CALL(kill, SYS_kill);
CALL(listen, SYS_listen);
CALL(nanosleep, SYS_nanosleep);
CALL(openat, SYS_openat);
CALL(pipe2, SYS_pipe2);
CALL(prctl, SYS_prctl);
CALL(pread, SYS_pread64);
CALL(read, SYS_read);
CALL(readlinkat, SYS_readlinkat);
CALL(recvmsg, SYS_recvmsg);
CALL(sched_setaffinity, SYS_sched_setaffinity);
CALL(sendto, SYS_sendto);
CALL(setrlimit, SYS_setrlimit);
CALL(setsockopt, SYS_setsockopt);
CALL(shutdown, SYS_shutdown);
CALL(socket, SYS_socket);
CALL(socketpair, SYS_socketpair);
CALL(splice, SYS_splice);
CALL(wait4, SYS_wait4);
CALL(write, SYS_write);
CALL(_exit, SYS_exit_group);
CALL(map_memory, SYS_mmap);
CALL(receive_from, SYS_recvfrom);

/* The assembly above needs these names. */
void start(long *stack);
long set_error(long result);
extern void return_from_signal(void);
extern void *map_memory(void *, size_t, int, int, int, off_t);
extern ssize_t receive_from(int, void *, size_t, int, void *, void *);
extern int main(int count, char **words);

char **environ;

static int error;
static int (*read_clock)(clockid_t clock, struct timespec *time);

int *__errno_location(void)
{
	return &error;
}

long set_error(long result)
{
	error = (int)-result;
	return -1;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return map_memory(at, size, protection, flags, fd, offset);
}

ssize_t recv(int fd, void *bytes, size_t count, int flags)
{
	return receive_from(fd, bytes, count, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t count, int flags)
{
	return sendto(fd, bytes, count, flags, NULL, 0);
}

int open(const char *path, int flags, ...)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0, 0, 0);
}

pid_t fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
}

int poll(struct pollfd *fds, nfds_t count, int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	return (int)syscall(SYS_ppoll, fds, count, ms < 0 ? NULL : &time, NULL, 0, 0);
}

int epoll_wait(int fd, struct epoll_event *events, int count, int ms)
{
	return (int)syscall(SYS_epoll_pwait, fd, events, count, ms, NULL, 0);
}

unsigned alarm(unsigned seconds)
{
	struct itimerval timer = { .it_value = { seconds, 0 } };

	return (unsigned)syscall(SYS_setitimer, ITIMER_REAL, &timer, NULL, 0, 0, 0);
}

/* The kernel has a structure of its own, with eight bytes of signals. */
int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} kernel = { action->sa_handler, (unsigned long)action->sa_flags | 0x04000000,
		     return_from_signal, 0 };

	(void)old;
	return (int)syscall(SYS_rt_sigaction, signal, &kernel, NULL, 8, 0, 0);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return (int)syscall(SYS_rt_sigprocmask, how, set, old, 8, 0, 0);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	if (read_clock)
		return read_clock(clock, time);
	return (int)syscall(SYS_clock_gettime, clock, time, 0, 0, 0, 0);
}

uint16_t htons(uint16_t number)
{
	return __builtin_bswap16(number);
}

uint32_t htonl(uint32_t number)
{
	return __builtin_bswap32(number);
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strncmp(const char *a, const char *b, size_t count)
{
	for (; count; count--, a++, b++)
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *text, int c)
{
	for (; *text != (char)c; text++)
		if (!*text)
			return NULL;
	return (char *)text;
}

int memcmp(const void *a, const void *b, size_t count)
{
	const unsigned char *left = a, *right = b;

	for (; count; count--, left++, right++)
		if (*left != *right)
			return *left - *right;
	return 0;
}

void *memcpy(void *to, const void *from, size_t count)
{
	return memmove(to, from, count);
}

void *memmove(void *to, const void *from, size_t count)
{
	unsigned char *target = to;
	const unsigned char *source = from;

	if (target <= source)
		while (count--)
			*target++ = *source++;
	else
		while (count--)
			target[count] = source[count];
	return to;
}

void *memset(void *to, int byte, size_t count)
{
	unsigned char *target = to;

	while (count--)
		*target++ = (unsigned char)byte;
	return to;
}

/*
 * Finds the clock in the small library that the kernel maps into each process (the vDSO): reading
 * it costs a fifth of a system call, and bench does so once for each message. The table of symbols
 * ends where the table of their names begins.
 */
static void find_clock(const unsigned char *image)
{
	const Elf64_Ehdr *header = (const void *)image;
	const Elf64_Phdr *part = (const void *)(image + header->e_phoff);
	const Elf64_Dyn *entry = NULL;
	const unsigned char *base = image;
	const Elf64_Sym *symbol = NULL;
	const char *names = NULL;

	for (int i = 0; i < header->e_phnum; i++, part++) {
		if (part->p_type == PT_LOAD)
			base = image + part->p_offset - part->p_vaddr;
		if (part->p_type == PT_DYNAMIC)
			entry = (const void *)(image + part->p_offset);
	}
	for (; entry && entry->d_tag; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			symbol = (const void *)(base + entry->d_un.d_ptr);
		if (entry->d_tag == DT_STRTAB)
			names = (const char *)base + entry->d_un.d_ptr;
	}
	for (; symbol && (const char *)symbol < names; symbol++)
		if (symbol->st_shndx && strcmp(names + symbol->st_name, clock_name) == 0)
			read_clock = (int (*)(clockid_t, struct timespec *))(
				uintptr_t)(base + symbol->st_value);
}

__attribute__((used)) void start(long *stack)
{
	int count = (int)stack[0];
	char **words = (char **)(stack + 1);
	const Elf64_auxv_t *auxiliary;
	char **last;

	environ = words + count + 1;
	for (last = environ; *last; last++)
		;
	auxiliary = (const void *)(last + 1);
	for (; auxiliary->a_type; auxiliary++)
		if (auxiliary->a_type == AT_SYSINFO_EHDR)
			find_clock((const void *)auxiliary->a_un.a_val);
	_exit(main(count, words));
}
