# pcv - the Perceiver family for the shell.  GNU make; `make help` lists the
# targets.  Settings first; nothing to change below the rule.

CC       ?= cc
AR       ?= ar
PREFIX   ?= /usr/local
DESTDIR  ?=
VARIANT  ?= release
OPT      ?= -O2 -g
WERROR   ?=
VERSION   = 0.1.0

PACKAGES  = openblas libpng libjpeg sndfile samplerate jansson zlib libxxhash
PKGCONF  ?= pkg-config
CFLAGS_P := $(shell $(PKGCONF) --cflags $(PACKAGES) 2>/dev/null)
LIBS_P   := $(shell $(PKGCONF) --libs $(PACKAGES) 2>/dev/null || echo \
            -lopenblas -lpng -ljpeg -lsndfile -lsamplerate -ljansson -lz -lxxhash)

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
       -Wdouble-promotion -Wconversion

# ---------------------------------------------------------------------------

V_release =
V_double  = -DPCV_DOUBLE
V_asan    = -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
            -fno-omit-frame-pointer
V_adouble = $(V_asan) -DPCV_DOUBLE
V_tsan    = -O1 -fsanitize=thread
V_cov     = -O0 --coverage

B    = build/$(VARIANT)
STD  = -std=c11 -D_GNU_SOURCE
ALL_CFLAGS = $(STD) $(OPT) $(V_$(VARIANT)) $(WARN) $(WERROR) -pthread \
             -ffp-contract=off -MMD -MP -Ilib $(CFLAGS_P) $(CFLAGS) \
             -DPCV_VERSION='"$(VERSION)"' -DPCV_DATADIR='"$(PREFIX)/share/pcv"'
LINK = $(CC) $(OPT) $(V_$(VARIANT)) -pthread $(LDFLAGS)

LIB_SRC  = $(filter-out %.inc.c,$(wildcard lib/*.c lib/*/*.c))
CMD_SRC  = $(wildcard cmd/pcv-*.c)
CMD_AUX  = $(filter-out $(CMD_SRC),$(wildcard cmd/*.c))
TEST_SRC = $(wildcard tests/*_test.c)
TEST_AUX = $(filter-out $(TEST_SRC) tests/bench.c,$(wildcard tests/*.c))
obj      = $(patsubst %.c,$(B)/%.o,$(1))
PROGRAMS = $(patsubst cmd/%.c,$(B)/%,$(CMD_SRC))
TESTS    = $(patsubst tests/%.c,$(B)/tests/%,$(TEST_SRC))
LIB      = $(B)/libpcv.a

all: $(PROGRAMS)         ## build the library and the five programs
lib: $(LIB)              ## build libpcv.a alone
tests: $(TESTS)          ## build the unit tests

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Vector loops: one source, one object per instruction set.  No -ffast-math:
# NaN must survive; -fno-trapping-math lets clamps become vector code.
KERNFLAGS = -O3 -fopenmp-simd -fno-trapping-math -fno-math-errno
$(B)/lib/kern/rows_base.o: override ALL_CFLAGS += $(KERNFLAGS)
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
$(B)/lib/kern/rows_avx2.o: override ALL_CFLAGS += $(KERNFLAGS) -mavx2 -mfma \
	-ffp-contract=fast
$(B)/lib/kern/rows_avx512.o: override ALL_CFLAGS += $(KERNFLAGS) -mavx512f \
	-mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 \
	-ffp-contract=fast
endif

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/pcv-%: $(B)/cmd/pcv-%.o $(call obj,$(CMD_AUX)) $(LIB)
	$(LINK) -o $@ $^ $(LIBS_P) -lm

$(B)/tests/%_test: $(B)/tests/%_test.o $(call obj,$(TEST_AUX)) $(LIB)
	$(LINK) -o $@ $^ -lcmocka $(LIBS_P) -lm

.SECONDARY:
-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

clean:                   ## remove everything that was built
	rm -rf build

help:                    ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

.PHONY: all lib tests clean help
