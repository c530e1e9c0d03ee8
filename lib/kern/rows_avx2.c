/* rows_avx2.c - rows.inc.c compiled for this instruction set (Makefile). */
#define ROWS_NAME "avx2"
#define ROWS_TABLE pcv_rows_avx2
#include "rows.inc.c"
