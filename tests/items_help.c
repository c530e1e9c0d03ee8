/* items_help.c - see items_help.h.  alarm() ends a test that waits for what
 * need not come. */
#include "items_help.h"

#include <string.h>
#include <unistd.h>

const char idx_gz[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x63\x60\xe0\x66\x66\x60\x60"
    "\x60\x02\x62\x46\x10\xcd\xc8\xc4\xcc\xc2\xca\xc6\xce\x01\x00\xeb\xf5"
    "\x50\x25\x18\x00\x00\x00";
const size_t idx_gz_size = sizeof idx_gz - 1;

pcv_sources sources(const char *const *path, size_t n)
{
    pcv_sources s = {.path = path, .paths = n};

    pcv_reading_default(&s.reading);
    return s;
}

pcv_items *open_items(const pcv_sources *s, int batch_rank)
{
    pcv_items *it = pcv_items_open(s, batch_rank);

    if (!it)
        fail_msg("%s", pcv_error());
    return it;
}

void expect(pcv_items *it, const char *name, pcv_item *item)
{
    pcv_reading how;

    pcv_reading_default(&how);
    alarm(20);
    if (pcv_items_next(it, item) != 1)
        fail_msg("no item: \"%s\", want %s", pcv_error(), name);
    alarm(0);
    assert_string_equal(item->name, name);
    if (pcv_item_decode(item, &how) != 0)
        fail_msg("%s", item->what);
    assert_null(item->path);
    assert_int_equal(item->code, 0);
}

void expect_grey(pcv_items *it, const char *name, int value)
{
    pcv_item item;

    expect(it, name, &item);
    assert_int_equal(item.media.kind, PCV_MEDIA_IMAGE);
    assert_int_equal(item.media.array.dim[1], 2);
    assert_int_equal(*(unsigned char *)item.media.array.data, value);
    pcv_item_free(&item);
}

void expect_array(pcv_items *it, const char *name, pcv_dtype t, int rank,
                  const char *want, size_t n)
{
    pcv_item item;

    expect(it, name, &item);
    assert_int_equal(item.media.kind, PCV_MEDIA_ARRAY);
    assert_int_equal(item.media.array.dtype, t);
    assert_int_equal(item.media.array.rank, rank);
    assert_int_equal(pcv_array_count(&item.media.array) *
                     pcv_dtype_size(t), n);
    assert_memory_equal(item.media.array.data, want, n);
    pcv_item_free(&item);
}

void expect_failure(pcv_items *it, const char *name, int code,
                    const char *what)
{
    pcv_item item;
    pcv_reading how;

    pcv_reading_default(&how);
    alarm(20);
    assert_int_equal(pcv_items_next(it, &item), 1);
    alarm(0);
    assert_string_equal(item.name, name);
    assert_int_equal(pcv_item_decode(&item, &how), -1);
    if (item.code != code || !strstr(item.what, what))
        fail_msg("%d \"%s\", want %d \"%s\"", item.code, item.what, code,
                 what);
    assert_string_equal(pcv_error(), "");
    pcv_item_free(&item);
}

void expect_end(pcv_items *it)
{
    pcv_item item;

    alarm(20);
    if (pcv_items_next(it, &item) != 0)
        fail_msg("%s, want the end", item.name ? item.name : pcv_error());
    alarm(0);
    pcv_items_close(it);
}
