// SPDX-License-Identifier: Apache-2.0
/* Prints the advice as a table, the reasons below it, and the block to paste. */
#include "advise.h"

#include <string.h>

enum { COLUMNS = 11, WIDEST = 24 };

struct cell {
	char text[WIDEST + 1];
};

static const char *const heads[COLUMNS] = { "PORT",  "PROGRAM", "CLIENTS", "CONNS", "HERE", "IN/S",
					    "BYTES", "OUT/S",	"BYTES",   "KIND",  "GAIN" };

static void add_text(struct cell *cell, const char *text)
{
	size_t length = strlen(cell->text), more = strlen(text);

	if (length + more > WIDEST) {
		/* The JSON has them all. */
		memcpy(cell->text + (length < WIDEST ? length : WIDEST - 1), "+", 2);
		return;
	}
	memcpy(cell->text + length, text, more + 1);
}

static void add_number(struct cell *cell, uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add_text(cell, digits + at);
}

static void add_hundredths(struct cell *cell, uint32_t hundredths)
{
	add_number(cell, hundredths / 100);
	add_text(cell, hundredths % 100 < 10 ? ".0" : ".");
	add_number(cell, hundredths % 100);
}

static void fill(const struct service *service, uint64_t ms, struct cell *cells)
{
	memset(cells, 0, COLUMNS * sizeof(*cells));
	add_number(&cells[0], service->port);
	add_text(&cells[1], service->program);
	for (uint32_t i = 0; i < service->client_count; i++) {
		add_text(&cells[2], i ? " " : "");
		add_text(&cells[2], service->clients[i]);
	}
	add_number(&cells[3], service->connections + service->shorts);
	add_number(&cells[4], service->on_host + service->shorts_on_host);
	for (unsigned int i = IN; i <= OUT; i++) {
		add_number(&cells[5 + 2 * i], service->sums.messages[i] * 1000 / ms);
		add_number(&cells[6 + 2 * i], find_size(service, i) / 10);
	}
	add_text(&cells[9], kind_words[service->kind]);
	if (service->gain_to) {
		add_hundredths(&cells[10], service->gain_from);
		add_text(&cells[10], "-");
		add_hundredths(&cells[10], service->gain_to);
	} else {
		add_text(&cells[10], "-");
	}
}

static void put_spaces(size_t count)
{
	while (count--)
		put_text(" ");
}

static void put_row(const struct cell *cells, const size_t *widths, const char *last)
{
	for (unsigned int i = 0; i < COLUMNS; i++) {
		bool is_number = i == 0 || (i >= 3 && i <= 8);
		size_t gap = widths[i] - strlen(cells[i].text);

		put_spaces(is_number ? gap : 0);
		put_text(cells[i].text);
		put_spaces(is_number ? 2 : gap + 2);
	}
	put_text(last);
	flush_text(STDOUT_FILENO);
}

static void show_services(uint64_t ms)
{
	struct cell cells[COLUMNS];
	size_t widths[COLUMNS];

	for (unsigned int i = 0; i < COLUMNS; i++)
		widths[i] = strlen(heads[i]);
	for (uint32_t i = 0; i < service_count; i++) {
		fill(&services[i], ms, cells);
		for (unsigned int j = 0; j < COLUMNS; j++)
			if (strlen(cells[j].text) > widths[j])
				widths[j] = strlen(cells[j].text);
	}
	memset(cells, 0, sizeof(cells));
	for (unsigned int i = 0; i < COLUMNS; i++)
		add_text(&cells[i], heads[i]);
	put_row(cells, widths, "ADVICE");
	for (uint32_t i = 0; i < service_count; i++) {
		fill(&services[i], ms, cells);
		put_row(cells, widths, advice_words[services[i].advice]);
	}
}

static void put_service_name(const struct service *service)
{
	put_number(service->port);
	put_text(" ");
	put_text(service->program);
	put_text(": ");
}

static void show_reasons(void)
{
	for (uint32_t i = 0; i < service_count; i++) {
		const struct service *service = &services[i];

		put_service_name(service);
		put_text(advice_words[service->advice]);
		put_text(": ");
		put_reason(service, put_text);
		flush_text(STDOUT_FILENO);
		for (uint32_t j = 0; j < service->danger_count; j++) {
			const struct danger *danger = &service->dangers[j];

			if (danger->kind->reason == service->reason &&
			    danger->program == service->whose)
				continue;
			put_text("    ");
			put_text(danger->kind->name);
			put_text(": ");
			put_text(danger->program);
			put_text(": ");
			put_text(danger->kind->reason);
			flush_text(STDOUT_FILENO);
		}
	}
}

void show_table(const struct run *run)
{
	uint32_t listed = 0;

	if (service_count) {
		show_services(run->ms);
		flush_text(STDOUT_FILENO);
		show_reasons();
		flush_text(STDOUT_FILENO);
	} else {
		put_text("no connection to a service of this host was seen");
		flush_text(STDOUT_FILENO);
	}
	put_text(run->is_bench ? "gain: ratio to plain TCP, by this host's own bench for the "
				 "sizes that it has, else by a table that another host made"
			       : "gain: ratio to plain TCP, by a table that another host made; "
				 "--bench FILE takes this host's own");
	flush_text(STDOUT_FILENO);
	put_text("unseen: ");
	if (!put_unseen(false))
		put_text("nothing");
	flush_text(STDOUT_FILENO);
	flush_text(STDOUT_FILENO);
	put_text("traffic: { ports: [");
	for (uint32_t i = 0; i < service_count; i++) {
		if (!is_listed(i))
			continue;
		if (listed++)
			put_text(", ");
		put_number(services[i].port);
		/* All of a thousand would not fit. */
		if (listed % 100 == 0)
			write_text(STDOUT_FILENO);
	}
	put_text("] }");
	flush_text(STDOUT_FILENO);
}
