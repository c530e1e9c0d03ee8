/* rows_base.c - rows.inc.c compiled for this instruction set (Makefile). */
#define ROWS_NAME "base"
#define ROWS_TABLE pcv_rows_base
#include "rows.inc.c"
