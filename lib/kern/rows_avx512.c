/* rows_avx512.c - rows.inc.c compiled for this instruction set (Makefile). */
#define ROWS_NAME "avx512"
#define ROWS_TABLE pcv_rows_avx512
#include "rows.inc.c"
