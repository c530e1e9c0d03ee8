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

PACKAGES  = openblas libpng libjpeg sndfile samplerate kissfft-float jansson \
            zlib libxxhash libzip
PKGCONF  ?= pkg-config
CFLAGS_P := $(shell $(PKGCONF) --cflags $(PACKAGES) 2>/dev/null)
LIBS_P   := $(shell $(PKGCONF) --libs $(PACKAGES) 2>/dev/null || echo \
            -lopenblas -lpng -ljpeg -lsndfile -lsamplerate -lkissfft-float \
            -ljansson -lz -lxxhash -lzip)

# Products of 16 and 8 bits, where oneDNN's header is (Debian: libdnnl-dev); the
# library is loaded when it is wanted.  ONEDNN=no does without.
ONEDNN   ?= $(shell echo 'dnnl_matmul_desc_t d;' | $(CC) -fsyntax-only \
            -include oneapi/dnnl/dnnl.h -x c - 2>/dev/null && echo yes || echo no)
ONEDNN_yes = -DPCV_ONEDNN

# Training by several processes, where Open MPI's header is (Debian:
# libopenmpi-dev); the library is loaded when mpirun started the program.
# MPI=no does without.
MPI_I   := $(patsubst -I%,-isystem %,$(shell $(PKGCONF) --cflags-only-I ompi-c \
             2>/dev/null))
MPI     ?= $(shell echo 'int v = OMPI_MAJOR_VERSION;' | $(CC) $(MPI_I) \
             -fsyntax-only -include mpi.h -x c - 2>/dev/null && echo yes || \
             echo no)
MPI_yes  = -DPCV_MPI $(MPI_I)

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
       -Wdouble-promotion -Wconversion

# ---------------------------------------------------------------------------

V_release =
V_clang   =
V_double  = -DPCV_DOUBLE
V_asan    = -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
            -fno-omit-frame-pointer
V_adouble = $(V_asan) -DPCV_DOUBLE
V_tsan    = -O1 -fsanitize=thread
V_cov     = -O0 --coverage
V_aarch64 =
ARM       = aarch64-linux-gnu
# Others' headers are those of this machine, behind the cross compiler's own.
ARM_I     = $(addprefix -idirafter ,/usr/include \
            /usr/include/$(shell $(CC) -print-multiarch))

ONEDNN := $(ONEDNN)
MPI    := $(MPI)
B    = build/$(VARIANT)
STD  = -std=c11 -D_GNU_SOURCE
ALL_CFLAGS = $(STD) $(OPT) $(V_$(VARIANT)) $(WARN) $(WERROR) -pthread \
             -ffp-contract=off -MMD -MP -Ilib $(CFLAGS_P) $(CFLAGS) \
             -DPCV_VERSION='"$(VERSION)"' -DPCV_DATADIR='"$(PREFIX)/share/pcv"'
LINK = $(CC) $(OPT) $(V_$(VARIANT)) -pthread $(LDFLAGS)

# Vector loops: one source, one object per instruction set of the processor.
ROWS_x86_64  = avx2 avx512
ROWS_aarch64 = neon
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ROWS     = $(patsubst %,lib/kern/rows_%.c,base $(ROWS_$(MACHINE)))

LIB_SRC  = $(filter-out %.inc.c lib/kern/rows_%.c,$(wildcard lib/*.c lib/*/*.c)) \
           $(ROWS)
CMD_SRC  = $(wildcard cmd/pcv-*.c)
CMD_AUX  = $(filter-out $(CMD_SRC),$(wildcard cmd/*.c))
TEST_SRC = $(wildcard tests/*_test.c)
TEST_BIN = tests/tensors.c tests/full.c
TEST_LOAD = tests/nospace.c
TEST_AUX = $(filter-out $(TEST_SRC) $(TEST_BIN) $(TEST_LOAD), \
             $(wildcard tests/*.c))
obj      = $(patsubst %.c,$(B)/%.o,$(1))
PROGRAMS = $(patsubst cmd/%.c,$(B)/%,$(CMD_SRC))
MODEL    = build/share/pcv/default/model.safetensors
TESTS    = $(patsubst tests/%.c,$(B)/tests/%,$(TEST_SRC))
LIB      = $(B)/libpcv.a

all: $(PROGRAMS) $(MODEL)  ## build the library and the five programs
lib: $(LIB)              ## build libpcv.a alone
tests: all $(TESTS) $(TEST_BIN:%.c=$(B)/%) $(TEST_LOAD:%.c=$(B)/%.so)  ## build the unit tests

check: tests             ## run all tests (VARIANT=asan for the sanitizers)
	tests/run.sh $(B)

grad:                    ## the tests in double precision: gradients to 1e-6
	$(MAKE) VARIANT=double WERROR=$(WERROR) check-units
asan:                    ## the tests under the address and UB sanitizers
	$(MAKE) VARIANT=asan WERROR=$(WERROR) check
tsan:                    ## the unit tests under the thread sanitizer
	$(MAKE) VARIANT=tsan WERROR=$(WERROR) check-units
check-units: $(TESTS)    ## unit tests alone
	tests/run.sh --units $(B)
# All of it compiles there; what can be run is what needs no library of others.
arm-check:               ## the vector loops built for AArch64, under qemu
	@for p in $(ARM)-gcc $(ARM)-objdump qemu-aarch64; do \
	  command -v $$p >/dev/null || { echo "skipped: there is no $$p"; \
	  echo "0 passed, 0 failed, 1 skipped"; exit 0; }; done; \
	$(MAKE) VARIANT=aarch64 CC=$(ARM)-gcc LDFLAGS=-static CFLAGS_P='$(ARM_I)' \
	  arm-build && tests/run.sh --arm build/aarch64
arm-build: $(LIB) $(call obj,$(CMD_SRC) $(CMD_AUX)) $(B)/tests/kern_test
valgrind: tests          ## small runs of the programs under valgrind
	tests/valgrind.sh $(B)

demo: all                ## train, classify, encode, decode, inspect
	tests/demo.sh $(B)

# FIGURES="start large" for some of them, JSON=FILE for `bench --compare`.
bench: all $(B)/tests/bench  ## what was asked of the speed, and what it is
	$(B)/tests/bench $(if $(JSON),--json=$(JSON)) $(FIGURES)

full: tests              ## published sizes: time, memory; kills, full disks
	tests/full.sh $(B)
	PCV_BIN=$(B) tests/kill.sh 100
	PCV_BIN=$(B) tests/disk.sh 1

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# What a library is in that may come or go, again when it does.
$(B)/lib/kern/onednn.o: override ALL_CFLAGS += $(ONEDNN_$(ONEDNN))
$(B)/lib/kern/onednn.o: $(B)/with-ONEDNN
$(B)/lib/train/peers.o: override ALL_CFLAGS += $(MPI_$(MPI))
$(B)/lib/train/peers.o: $(B)/with-MPI
$(B)/with-%: FORCE
	@mkdir -p $(@D)
	@echo $($*) | cmp -s - $@ || echo $($*) > $@

# Vector loops: one source, one object per instruction set.
# No -ffast-math: NaN must survive; -fno-trapping-math lets clamps become
# vector code.  The base alone is without fused multiply-add.
KERNFLAGS = -O3 -fopenmp-simd -fno-trapping-math -fno-math-errno
$(B)/lib/kern/rows_base.o: override ALL_CFLAGS += $(KERNFLAGS)
$(B)/lib/kern/rows_avx2.o: override ALL_CFLAGS += $(KERNFLAGS) -mavx2 -mfma \
	-ffp-contract=fast
$(B)/lib/kern/rows_avx512.o: override ALL_CFLAGS += $(KERNFLAGS) -mavx512f \
	-mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512 \
	-ffp-contract=fast
$(B)/lib/kern/rows_neon.o: override ALL_CFLAGS += $(KERNFLAGS) \
	-ffp-contract=fast

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/pcv-%: $(B)/cmd/pcv-%.o $(call obj,$(CMD_AUX)) $(LIB)
	$(LINK) -o $@ $^ $(LIBS_P) -lm

$(B)/tests/%_test: $(B)/tests/%_test.o $(call obj,$(TEST_AUX)) $(LIB)
	$(LINK) -o $@ $^ -lcmocka $(LIBS_P) -lm

# Of ours this needs two floors, of others' libc alone: see arm-check.
$(B)/tests/kern_test: $(call obj,tests/kern_test.c lib/kern/cpu.c $(ROWS) \
		$(wildcard lib/base/*.c))
	$(LINK) -o $@ $^ -lm

$(TEST_BIN:%.c=$(B)/%): %: %.o $(call obj,$(TEST_AUX)) $(LIB)
	$(LINK) -o $@ $^ -lcmocka $(LIBS_P) -lm

# What is loaded before the programs, to stand between them and the system.
$(B)/tests/%.so: tests/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(STD) $(OPT) $(WARN) $(WERROR) -shared -fPIC -o $@ $< -ldl

# Its objects stand beside it, under names that are its own.
$(B)/tests/bench-%.o: tests/bench/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

BENCH_OBJ = $(patsubst tests/bench/%.c,$(B)/tests/bench-%.o, \
              $(wildcard tests/bench/*.c))
$(B)/tests/bench: $(BENCH_OBJ) $(B)/tests/child.o $(B)/tests/weights.o $(LIB)
	$(LINK) -o $@ $^ $(LIBS_P) -lm

# The programs of the build directory find the default model beside it.
$(MODEL): $(wildcard lib/default/*)
	@mkdir -p $(@D)
	cp lib/default/config.json lib/default/model.safetensors $(@D)

.SECONDARY:
-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

MAN = $(wildcard man/*.[1-8])
BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share

$(B)/pcv.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: pcv' 'Version: $(VERSION)' \
	  'Description: the Perceiver family' 'Cflags: -I$${prefix}/include' \
	  'Libs: -L$${prefix}/lib -lpcv -lm -pthread' \
	  'Requires: $(PACKAGES)' > $@

install: all $(B)/pcv.pc ## install under PREFIX (and DESTDIR)
	install -d $(BIN) $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	  $(DESTDIR)$(PREFIX)/include $(SHARE)/pcv/default
	install $(PROGRAMS) $(BIN)
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib
	install -m 644 $(B)/pcv.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 lib/pcv.h $(DESTDIR)$(PREFIX)/include
	install -m 644 lib/default/config.json lib/default/model.safetensors \
	  $(SHARE)/pcv/default
	for m in $(MAN); do d=$(SHARE)/man/man$${m##*.}; \
	  install -d $$d && install -m 644 $$m $$d || exit 1; done

uninstall:               ## remove what install made
	rm -f $(addprefix $(BIN)/,$(notdir $(PROGRAMS))) \
	  $(DESTDIR)$(PREFIX)/lib/libpcv.a $(DESTDIR)$(PREFIX)/include/pcv.h \
	  $(DESTDIR)$(PREFIX)/lib/pkgconfig/pcv.pc
	rm -rf $(SHARE)/pcv/default
	for m in $(MAN); do rm -f $(SHARE)/man/man$${m##*.}/$$(basename $$m); \
	  done

clean:                   ## remove everything that was built
	rm -rf build

help:                    ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

.PHONY: all lib tests check check-units grad asan tsan arm-check arm-build \
  valgrind demo bench full install uninstall clean help FORCE
