/* json.h - writing JSON onto growing bytes.
 *
 * A comma goes in wherever the text so far does not end in an opening bracket
 * or a colon, so callers never count members.  key NULL: a member of an
 * array.  Numbers that are not finite become null. */
#ifndef PCV_CMD_JSON_H
#define PCV_CMD_JSON_H

#include "pcv.h"

void json_open(pcv_bytes *b, const char *key, char bracket);   /* '{' or '[' */
void json_close(pcv_bytes *b, char bracket);                   /* '}' or ']' */
void json_text(pcv_bytes *b, const char *key, const char *value);
void json_number(pcv_bytes *b, const char *key, double value);
void json_count(pcv_bytes *b, const char *key, size_t value);
void json_truth(pcv_bytes *b, const char *key, bool value);
/* A setting's text: as true, false or a number where it reads as one. */
void json_guess(pcv_bytes *b, const char *key, const char *text);
/* The name of a file: beside "KEY" with U+FFFD for what is not UTF-8 stands
 * "KEY_b64" with the exact bytes. */
void json_path(pcv_bytes *b, const char *key, const char *path);

#endif
