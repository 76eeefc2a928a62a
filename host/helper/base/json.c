// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

static bool is_first = true;

void put_name(const char *name)
{
	if (!is_first)
		put_text(",");
	is_first = false;
	if (!name)
		return;
	put_text("\"");
	put_text(name);
	put_text("\":");
}

void open_object(const char *name)
{
	put_name(name);
	put_text("{");
	is_first = true;
}

void close_object(void)
{
	put_text("}");
	is_first = false;
}

void open_array(const char *name)
{
	put_name(name);
	put_text("[");
	is_first = true;
}

void close_array(void)
{
	put_text("]");
	is_first = false;
}

/* The values are this program's own words, so none of them needs an escape. */
void put_string_member(const char *name, const char *value)
{
	put_name(name);
	if (!value) {
		put_text("null");
		return;
	}
	put_text("\"");
	put_text(value);
	put_text("\"");
}

void put_number_member(const char *name, uint64_t value)
{
	put_name(name);
	put_number(value);
}

void put_tenths_member(const char *name, uint64_t tenths)
{
	put_name(name);
	put_tenths(tenths);
}

void put_bool_member(const char *name, bool value)
{
	put_name(name);
	put_text(value ? "true" : "false");
}
