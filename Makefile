# make          build both programs, static, and the libraries for C and C++ into dist/
# make lib      only the libraries
# make demo     build, and see it work
# make test     run all tests (as root: some boot a real systemd in a container)
# make soak     kill writers of the map for ten minutes (SECONDS=60 for one), then the service under
#               systemd (as root) ten thousand times (COUNT=500 for a minute)
# make fuzz     look for inputs that nobody thought of, ten minutes each; SECONDS=60 for one
# make bench    measure, next to floors and peers; make bench-map does so without the service,
#               bench-python with the package for Python
# make install  PREFIX=/usr/local, DESTDIR for packages; make uninstall takes it away again.
#               LIBDIR=/usr/lib/x86_64-linux-gnu where libraries have such a place, as in Debian
# make install-user    for you alone, without root, into ~/.local; make uninstall-user

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

CARGO ?= cargo
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# Static programs start in three quarters of the time. The explicit target keeps the flag away from
# build scripts and procedural macros, which cannot be static.
STATIC := -C target-feature=+crt-static
BUILT := $(TARGET_DIR)/$(HOST)/release

# The libraries: one that is shared, whose name changes with every version that programs have to be
# compiled anew for, and one that is not. Never with STATIC: what is shared cannot be static.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
SONAME := libglobstash.so.$(firstword $(subst ., ,$(VERSION)))
SHARED := libglobstash.so.$(VERSION)
LIB_PROFILE ?= release
DIST ?= dist
LIB_BUILT := $(TARGET_DIR)/$(if $(filter dev,$(LIB_PROFILE)),debug,$(LIB_PROFILE))

# A folder as the file for pkg-config has it: what is below the prefix moves with that (--define-prefix).
below = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
# Each has a manual page of its name that leads to the one of all.
FUNCTIONS := $(shell sed -n 's/^\.SS "\(globstash_[a-z_]*\)()"$$/\1/p' man/globstash.3)

# systemd looks for system units here below /usr and /usr/local alike.
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
USER_UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/user
SYSUSERS = $(DESTDIR)$(PREFIX)/lib/sysusers.d
BIN = $(DESTDIR)$(PREFIX)/bin
BASH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
MAN = $(DESTDIR)$(PREFIX)/share/man
INTERFACES = $(DESTDIR)$(PREFIX)/share/varlink
DOC = $(DESTDIR)$(PREFIX)/share/doc/globstash

.PHONY: all
all: toolchain lib
	RUSTFLAGS="$(STATIC) $$RUSTFLAGS" $(CARGO) build --release --locked --bins --target $(HOST)
	@mkdir -p dist
	@cp $(BUILT)/globstash $(BUILT)/globstashd dist/

.PHONY: lib
lib: toolchain
	$(CARGO) rustc --locked --profile $(LIB_PROFILE) --lib --crate-type cdylib,staticlib \
		--no-default-features --features capi -- -C link-arg=-Wl,-soname,$(SONAME)
	@mkdir -p $(DIST)
	@cp $(LIB_BUILT)/libglobstash.so $(DIST)/$(SHARED)
	@cp $(LIB_BUILT)/libglobstash.a $(DIST)/
	@ln -sf $(SHARED) $(DIST)/$(SONAME)
	@ln -sf $(SONAME) $(DIST)/libglobstash.so

.PHONY: toolchain
toolchain:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.95 or later, for example with rustup" >&2; exit 1; }

.PHONY: demo
demo: all
	@docs/demo dist

.PHONY: test
test: toolchain
	tests/prepare
	$(CARGO) test --locked --all-features

.PHONY: soak
soak: SECONDS ?= 600
soak: COUNT ?= 10000
soak: toolchain
	tests/prepare
	GLOBSTASH_SOAK=$(SECONDS) $(CARGO) test --release --locked --test torn
	GLOBSTASH_KILLS=$(COUNT) $(CARGO) test --release --locked --test systemd -- killed_at_random --nocapture

.PHONY: fuzz
fuzz: SECONDS ?= 600
fuzz: toolchain
	fuzz/run $(SECONDS)

.PHONY: bench
bench: all
	tests/prepare --benches
	GLOBSTASH=dist/globstash GLOBSTASHD=dist/globstashd $(CARGO) bench --locked --bench socket -- $(ROWS)

.PHONY: bench-map
bench-map: toolchain lib
	$(CARGO) run --release --locked --manifest-path benches/map/Cargo.toml -- $(ROWS)

.PHONY: bench-python
bench-python: all
	tests/prepare --benches
	GLOBSTASHD=dist/globstashd python/bench

.PHONY: install
install: install-lib
	@test -x dist/globstashd || { echo "nothing is built yet: run make first" >&2; exit 1; }
	install -D -m 755 dist/globstash $(BIN)/globstash
	install -D -m 755 dist/globstashd $(BIN)/globstashd
	install -D -m 644 systemd/globstashd.socket $(UNITS)/globstashd.socket
	install -D -m 644 systemd/user/globstashd.socket $(USER_UNITS)/globstashd.socket
	install -d $(UNITS) $(USER_UNITS)
	sed 's,/usr/bin/globstashd,$(PREFIX)/bin/globstashd,' systemd/globstashd.service > $(UNITS)/globstashd.service
	sed 's,/usr/bin/globstashd,$(PREFIX)/bin/globstashd,' systemd/user/globstashd.service > $(USER_UNITS)/globstashd.service
	chmod 644 $(UNITS)/globstashd.service $(USER_UNITS)/globstashd.service
	install -D -m 644 systemd/sysusers.d/globstash.conf $(SYSUSERS)/globstash.conf
	install -D -m 644 io.globstash.varlink $(INTERFACES)/io.globstash.varlink
	install -D -m 644 man/globstash.1 $(MAN)/man1/globstash.1
	install -D -m 644 man/io.globstash.7 $(MAN)/man7/io.globstash.7
	install -D -m 644 man/globstashd.8 $(MAN)/man8/globstashd.8
	install -D -m 644 completions/globstash.bash $(BASH_COMPLETIONS)/globstash
	install -D -m 644 completions/_globstash $(ZSH_COMPLETIONS)/_globstash
	install -D -m 644 completions/globstash.fish $(FISH_COMPLETIONS)/globstash.fish
	install -D -m 644 README.md $(DOC)/README.md
	install -D -m 644 CHANGELOG.md $(DOC)/CHANGELOG.md
	install -D -m 644 LICENSE-MIT $(DOC)/LICENSE-MIT
	install -D -m 644 LICENSE-APACHE $(DOC)/LICENSE-APACHE
ifeq ($(DESTDIR),)
	@echo
	@echo "Now let systemd know, once:"
	@echo "  systemd-sysusers && systemctl daemon-reload && systemctl enable --now globstashd.socket"
	@echo "and programs where the library is:"
	@echo "  ldconfig"
endif

.PHONY: install-lib
install-lib:
	@test -f $(DIST)/$(SHARED) || { echo "nothing is built yet: run make first" >&2; exit 1; }
	install -D -m 644 $(DIST)/$(SHARED) $(DESTDIR)$(LIBDIR)/$(SHARED)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libglobstash.so
	install -D -m 644 $(DIST)/libglobstash.a $(DESTDIR)$(LIBDIR)/libglobstash.a
	install -D -m 644 include/globstash.h $(DESTDIR)$(INCLUDEDIR)/globstash.h
	install -D -m 644 include/globstash.hpp $(DESTDIR)$(INCLUDEDIR)/globstash.hpp
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(call below,$(LIBDIR)),; s,@INCLUDEDIR@,$(call below,$(INCLUDEDIR)),; s,@VERSION@,$(VERSION),' \
		include/globstash.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/globstash.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/globstash.pc
	install -D -m 644 man/globstash.3 $(MAN)/man3/globstash.3
	for name in $(FUNCTIONS); do \
		echo '.so man3/globstash.3' > $(MAN)/man3/$$name.3 && chmod 644 $(MAN)/man3/$$name.3 || exit 1; \
	done

# A user's programs and units have their places below ~/.local: file-hierarchy(7), systemd.unit(5);
# man, bash and fish look there too. zsh has no such place: see globstash completions --help.
.PHONY: install-user
install-user: LOCAL = $(HOME)/.local
install-user:
	@test -x dist/globstashd || { echo "nothing is built yet: run make first" >&2; exit 1; }
	install -D -m 755 dist/globstash $(LOCAL)/bin/globstash
	install -D -m 755 dist/globstashd $(LOCAL)/bin/globstashd
	install -D -m 644 systemd/user/globstashd.socket $(LOCAL)/share/systemd/user/globstashd.socket
	sed 's,/usr/bin/globstashd,$(LOCAL)/bin/globstashd,' systemd/user/globstashd.service > $(LOCAL)/share/systemd/user/globstashd.service
	install -D -m 644 man/globstash.1 $(LOCAL)/share/man/man1/globstash.1
	install -D -m 644 man/io.globstash.7 $(LOCAL)/share/man/man7/io.globstash.7
	install -D -m 644 man/globstashd.8 $(LOCAL)/share/man/man8/globstashd.8
	install -D -m 644 completions/globstash.bash $(LOCAL)/share/bash-completion/completions/globstash
	install -D -m 644 completions/globstash.fish $(LOCAL)/share/fish/vendor_completions.d/globstash.fish
	@echo
	@echo "Where systemd runs, let it know, once:"
	@echo "  systemctl --user daemon-reload && systemctl --user enable --now globstashd.socket"
	@case ":$$PATH:" in *":$(LOCAL)/bin:"*) ;; *) echo "$(LOCAL)/bin is not in your PATH yet" ;; esac

.PHONY: uninstall
uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/$(SHARED) $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libglobstash.so
	rm -f $(DESTDIR)$(LIBDIR)/libglobstash.a $(DESTDIR)$(LIBDIR)/pkgconfig/globstash.pc
	rm -f $(DESTDIR)$(INCLUDEDIR)/globstash.h $(DESTDIR)$(INCLUDEDIR)/globstash.hpp $(MAN)/man3/globstash.3
	rm -f $(FUNCTIONS:%=$(MAN)/man3/%.3)
	rm -f $(BIN)/globstash $(BIN)/globstashd
	rm -f $(UNITS)/globstashd.socket $(UNITS)/globstashd.service
	rm -f $(USER_UNITS)/globstashd.socket $(USER_UNITS)/globstashd.service
	rm -f $(SYSUSERS)/globstash.conf $(INTERFACES)/io.globstash.varlink
	rm -f $(MAN)/man1/globstash.1 $(MAN)/man7/io.globstash.7 $(MAN)/man8/globstashd.8
	rm -f $(BASH_COMPLETIONS)/globstash $(ZSH_COMPLETIONS)/_globstash
	rm -f $(FISH_COMPLETIONS)/globstash.fish
	rm -rf $(DOC)

.PHONY: uninstall-user
uninstall-user: LOCAL = $(HOME)/.local
uninstall-user:
	rm -f $(LOCAL)/bin/globstash $(LOCAL)/bin/globstashd
	rm -f $(LOCAL)/share/systemd/user/globstashd.socket $(LOCAL)/share/systemd/user/globstashd.service
	rm -f $(LOCAL)/share/man/man1/globstash.1 $(LOCAL)/share/man/man7/io.globstash.7 $(LOCAL)/share/man/man8/globstashd.8
	rm -f $(LOCAL)/share/bash-completion/completions/globstash $(LOCAL)/share/fish/vendor_completions.d/globstash.fish

.PHONY: clean
clean:
	$(CARGO) clean
	rm -rf dist
