/* rows_neon.c - rows.inc.c compiled for this instruction set (Makefile). */
#define ROWS_NAME "neon"
#define ROWS_TABLE pcv_rows_neon
#include "rows.inc.c"
