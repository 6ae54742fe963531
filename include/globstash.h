/*
 * globstash: global variables for every process of a machine.
 *
 *     #include <globstash.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         char volume[16];
 *         if (globstash_set("player/volume", "0.5") < 0 ||
 *             globstash_get("player/volume", volume, sizeof volume) < 0)
 *             return fprintf(stderr, "%s\n", globstash_error_text()), 1;
 *         puts(volume);
 *     }
 *
 * Nothing has to be opened before, nor closed after. cc hello.c $(pkg-config --cflags --libs globstash)
 *
 * FAILURES. What returns a number returns one that is negative if it fails, such as GLOBSTASH_ERROR_KEY;
 * what returns a pointer returns NULL. globstash_error_text() is the sentence for the user then,
 * globstash_error_code() the number. Look whether a number is < 0, also where the question is yes or no:
 * in `if (globstash_exists(key))` a failure would be a yes. A call that fails has changed nothing, but
 * for GLOBSTASH_ERROR_UNKNOWN. What asks the service fails if that is not there, does not answer or goes
 * away (GLOBSTASH_ERROR_UNREACHABLE, _SILENT, _LOST), and a change also if it is not allowed or there is
 * no room (_PERMISSION, _LIMIT). A read is tried again, once, if the connection is lost; a change that
 * may have been made is never asked for twice.
 *
 * OWNERSHIP. What a function ending in _open gives, or globstash_watch_resume(), is closed by the _close
 * of its kind, which takes NULL as well. What a structure leads to that a function has filled in, such
 * as the key of a globstash_event, belongs to the object that it is from, until its next call. What a
 * function is given stays the caller's, and is not looked at any more when the function returns. Only
 * globstash_get_alloc() allocates what the caller frees.
 *
 * HANDLES. Where a function takes a `globstash_stash *`, GLOBSTASH_DEFAULT is the one that the short
 * functions use: it connects by itself, with the first call, to the service that $GLOBSTASH_ADDRESS
 * names, or else to the one for all of the machine. NULL is refused, with GLOBSTASH_ERROR_ARGUMENT: so a
 * handle that could not be opened is never taken for the default one.
 *
 * THREADS. Every function can be called in any thread at any time, and threads do not wait for one
 * another; but a variable, a list or a watch is for one thread at a time. A process that is forked from
 * another can go on with handles and variables, and has connections of its own. No function may be
 * called in a signal handler, nor between fork and exec by a child of a process with several threads.
 * No thread may be cancelled, as pthread_cancel(3) does, while it is in one; give a wait a time limit.
 *
 * WAITING. What asks the service waits for the answer, up to five seconds if the handle says nothing
 * else; waiting for a variable, or for the next change, takes as long as its own limit says. Reading
 * waits for nobody where the service shares its memory: globstash_is_mapped(). Signals end no call
 * early, and none raises one.
 *
 * KEYS are UTF-8, 1 to 255 bytes without control characters and '='. VALUES are any bytes, up to 1 MiB;
 * behind each that is read stands a NUL that is not part of it. REVISIONS count changes; 0 stands for
 * what is not defined. TIMES are in milliseconds, where nothing else is said.
 *
 * POINTERS that a function is given are NULL, where it says that this is allowed, or lead to what it
 * says, and that stays as it is while the function runs: a value is not to be read into the memory in
 * which its key stands. Strings end with NUL. To leave out a result, give NULL for it. Of a buffer, what
 * is behind the NUL of the value may have been written as well.
 *
 * globstash(3) has examples, globstash.hpp is the same for C++17.
 */

#ifndef GLOBSTASH_H
#define GLOBSTASH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GLOBSTASH_VERSION "0.1.0"
#define GLOBSTASH_VERSION_MAJOR 0
#define GLOBSTASH_VERSION_MINOR 1
#define GLOBSTASH_VERSION_PATCH 0

/**
 * Where a function takes a handle: the default one, which the short functions use. It is always open.
 * NULL is no handle: that is what a program has that could not open one.
 */
#ifdef __cplusplus
#define GLOBSTASH_DEFAULT (reinterpret_cast<globstash_stash *>(1))
#else
#define GLOBSTASH_DEFAULT ((globstash_stash *)1)
#endif

/** For a list or a watch: values are not wanted. */
#define GLOBSTASH_KEYS_ONLY 1

/** For a list or a watch: who changed a variable is wanted, and in a list all else that is known. */
#define GLOBSTASH_METADATA 2

/** For a watch: the present state is not wanted, only what happens from now on. */
#define GLOBSTASH_FROM_NOW 4

/** For a handle: what was read last is not told while the service is away; reading fails then. */
#define GLOBSTASH_FAIL_WHEN_GONE 8

/** As a user: it is not known. */
#define GLOBSTASH_NO_UID UINT32_MAX

/** As a `pid` of globstash_terms: the process that calls. */
#define GLOBSTASH_OWN_PROCESS (-1)

/**
 * What a function that fails returns, instead of a number that is not negative. Others may come to
 * these with a later version; what is negative is a failure in any case.
 */
typedef enum globstash_error {
    /** An argument is NULL that must not be, or out of its range. Nothing was done. */
    GLOBSTASH_ERROR_ARGUMENT = -1,
    /**
     * What was given as a key cannot be one: it has no byte or more than 255, is not UTF-8, or has
     * control characters or '=' in it.
     */
    GLOBSTASH_ERROR_KEY = -2,
    /** What was given as a pattern is malformed, too complicated, or not UTF-8. */
    GLOBSTASH_ERROR_PATTERN = -3,
    /**
     * The variable cannot have this value, or the value is longer than values can be (1 MiB,
     * unless the service says otherwise).
     */
    GLOBSTASH_ERROR_VALUE = -4,
    /**
     * What was given as an address, also in $GLOBSTASH_ADDRESS, is none; or it cannot be told where
     * the user's own service is.
     */
    GLOBSTASH_ERROR_ADDRESS = -5,
    /** There is no service there, or it is not for us. Nothing was changed. */
    GLOBSTASH_ERROR_UNREACHABLE = -6,
    /** The service is there, but has not answered within the handle's timeout. */
    GLOBSTASH_ERROR_SILENT = -7,
    /** The connection to the service ended before the answer came. */
    GLOBSTASH_ERROR_LOST = -8,
    /** What listens there is no service of ours: its answer makes no sense. */
    GLOBSTASH_ERROR_PROTOCOL = -9,
    /**
     * A change was asked for, and then there was no answer: it may have been made or not. It is
     * not asked for twice.
     */
    GLOBSTASH_ERROR_UNKNOWN = -10,
    /** The variable is not as it had to be. Nothing was changed. */
    GLOBSTASH_ERROR_CONDITION = -11,
    /** What was waited for did not come in time. */
    GLOBSTASH_ERROR_TIMED_OUT = -12,
    /** There is no room for the change, the connection or the watch. */
    GLOBSTASH_ERROR_LIMIT = -13,
    /** The variable does not hold a number that can be added to, or the sum has too many digits. */
    GLOBSTASH_ERROR_NUMBER = -14,
    /** The variable is protected and belongs to another user, or the service lets us do nothing. */
    GLOBSTASH_ERROR_PERMISSION = -15,
    /** There is no process with this ID, or it has ended. */
    GLOBSTASH_ERROR_PROCESS = -16,
    /** The service is of another version and does not know what it was asked for. */
    GLOBSTASH_ERROR_UNSUPPORTED = -17,
    /** The variables change faster than they can be read. Nothing is wrong; try again. */
    GLOBSTASH_ERROR_BUSY = -18,
    /** A list or a watch was used in a process that a fork has made: it belongs to its parent. */
    GLOBSTASH_ERROR_FORKED = -19,
    /** The machine has no memory or no descriptors left. */
    GLOBSTASH_ERROR_RESOURCES = -20,
    /** A bug in this library. Please report the text. */
    GLOBSTASH_ERROR_INTERNAL = -21,
} globstash_error;

/** What is done with a variable: the `kind` of a globstash_step. */
typedef enum globstash_do {
    /** Nothing; the step is there for its condition. */
    GLOBSTASH_DO_CHECK = 1,
    /** It is defined, or its value is replaced. */
    GLOBSTASH_DO_SET = 2,
    /** It is deleted, if it is there. */
    GLOBSTASH_DO_DELETE = 3,
    /** A number is added to the one that it holds. */
    GLOBSTASH_DO_INCREMENT = 4,
} globstash_do;

/** What a variable must be like: the `kind` of a globstash_condition. */
typedef enum globstash_if {
    /** Like anything: no condition. */
    GLOBSTASH_IF_ANY = 0,
    /** It must be defined. */
    GLOBSTASH_IF_DEFINED = 1,
    /** It must not be defined. */
    GLOBSTASH_IF_UNDEFINED = 2,
    /** Its last change must have been `revision`; 0: it must not be defined. */
    GLOBSTASH_IF_REVISION = 3,
    /** It must have the value `value`. */
    GLOBSTASH_IF_VALUE = 4,
    /** Its last change must be another one than `revision`, also if it is gone. Only to wait for. */
    GLOBSTASH_IF_CHANGED = 5,
} globstash_if;

/**
 * What happened to a variable: the `change` of a globstash_event. Others may come with a later version;
 * with all but GLOBSTASH_CHANGE_SET the variable is gone.
 */
typedef enum globstash_change {
    /** It was created, or was given a value. */
    GLOBSTASH_CHANGE_SET = 1,
    /** It was deleted, or it is gone for whatever other reason. */
    GLOBSTASH_CHANGE_DELETED = 2,
    /** Its time to live has run out. */
    GLOBSTASH_CHANGE_EXPIRED = 3,
    /** The process that it belonged to has ended. */
    GLOBSTASH_CHANGE_RELEASED = 4,
} globstash_change;

/** What becomes of the protection of a variable: `protection` of globstash_terms. */
typedef enum globstash_protection {
    /** It stays as it is. */
    GLOBSTASH_PROTECTION_KEEP = 0,
    /** Only the caller's user and root may change or delete the variable from now on. */
    GLOBSTASH_PROTECTION_PROTECT = 1,
    /** Everybody may. */
    GLOBSTASH_PROTECTION_UNPROTECT = 2,
} globstash_protection;

/** Variables that are told one after the other. */
typedef struct globstash_list globstash_list;

/** The way to a service. */
typedef struct globstash_stash globstash_stash;

/** One variable, with what was read of it last. */
typedef struct globstash_variable globstash_variable;

/** What happens to variables that match a pattern. */
typedef struct globstash_watch globstash_watch;

/**
 * What a variable must be like for a change to be made, or for a wait to end. What is left out of
 * an initialiser is zero, and is not looked at:
 *
 *     globstash_condition free = { .kind = GLOBSTASH_IF_UNDEFINED };
 *     globstash_condition same = { .kind = GLOBSTASH_IF_REVISION, .revision = revision };
 */
typedef struct globstash_condition {
    /** GLOBSTASH_IF_ANY or another of these. */
    int kind;
    /** For GLOBSTASH_IF_REVISION and GLOBSTASH_IF_CHANGED. */
    uint64_t revision;
    /** For GLOBSTASH_IF_VALUE: the value, a text. */
    const char *value;
    /** Or any bytes. If both are NULL, an empty value is meant. */
    const void *data;
    /** How many bytes `data` has. */
    size_t length;
} globstash_condition;

/**
 * On which terms a variable is set. What is left out of an initialiser is zero, and asks for
 * nothing:
 *
 *     globstash_terms lease = { .ttl_ms = 30000, .only_if = { .kind = GLOBSTASH_IF_UNDEFINED } };
 */
typedef struct globstash_terms {
    /** Only if the variable is like this before; else it is GLOBSTASH_ERROR_CONDITION. */
    globstash_condition only_if;
    /**
     * It is deleted after so many milliseconds, unless it is set again before; 0: it stays. Time
     * goes on while the machine sleeps.
     */
    int64_t ttl_ms;
    /**
     * It is deleted when the process with this ID ends; 0: it stays. GLOBSTASH_OWN_PROCESS: the
     * calling one.
     */
    int64_t pid;
    /** GLOBSTASH_PROTECTION_KEEP or another of these. */
    int protection;
    /** Zero. */
    int reserved_int;
    /** Zero. */
    uint64_t reserved[4];
} globstash_terms;

/**
 * One of the changes that globstash_apply() makes. What is left out of an initialiser is zero, and
 * asks for nothing; what a step of this kind has no use for must be zero.
 */
typedef struct globstash_step {
    /** GLOBSTASH_DO_SET or another of these. */
    int kind;
    /** Zero. */
    int reserved_int;
    /** Of which variable. */
    const char *key;
    /**
     * Only if the variable is like this before the first of all steps; else none of them is done, and
     * it is GLOBSTASH_ERROR_CONDITION.
     */
    globstash_condition only_if;
    /** For GLOBSTASH_DO_SET: the value, a text. */
    const char *value;
    /** Or any bytes. If both are NULL, an empty value is set. */
    const void *data;
    /** How many bytes `data` has. */
    size_t length;
    /** For GLOBSTASH_DO_SET: it is deleted after so many milliseconds, see globstash_terms; 0: it stays. */
    int64_t ttl_ms;
    /** For GLOBSTASH_DO_INCREMENT: the number to add, such as "1" or "-0.25", see globstash_increment_at(). */
    const char *by;
    /** Zero. */
    uint64_t reserved[4];
} globstash_step;

/** One variable of a list. What `key` and `value` lead to belongs to the list until its next call. */
typedef struct globstash_entry {
    /** The key, with a NUL. */
    const char *key;
    /** The value, with a NUL behind it; NULL with GLOBSTASH_KEYS_ONLY. */
    const char *value;
    /** How many bytes the value has. */
    size_t length;
    /** The revision of the last change. */
    uint64_t revision;
    /** With GLOBSTASH_METADATA: when it was last changed, in microseconds since the beginning of 1970. */
    int64_t modified_usec;
    /** With GLOBSTASH_METADATA: when it expires, in the same way; 0 if it does not. */
    int64_t expires_usec;
    /** With GLOBSTASH_METADATA: the process whose end deletes it; 0 if there is none. */
    int64_t pid;
    /** With GLOBSTASH_METADATA: who created or protected it; else GLOBSTASH_NO_UID. */
    uint32_t owner_uid;
    /** With GLOBSTASH_METADATA: who changed it last; GLOBSTASH_NO_UID if that was nobody. */
    uint32_t writer_uid;
    /** With GLOBSTASH_METADATA: with which process; else 0. */
    int64_t writer_pid;
    /** With GLOBSTASH_METADATA: 1 if only its owner and root may change it. */
    int is_protected;
    /** For later. */
    int reserved_int;
    /** For later. */
    uint64_t reserved[4];
} globstash_entry;

/** One change of one variable. What `key` and `value` lead to belongs to the watch until its next call. */
typedef struct globstash_event {
    /** GLOBSTASH_CHANGE_SET or another of these. */
    int change;
    /** Zero. */
    int reserved_int;
    /** The key, with a NUL. */
    const char *key;
    /**
     * The new value, or, if the variable is gone, the last that it had, with a NUL behind it; NULL if
     * that is not known, and with GLOBSTASH_KEYS_ONLY.
     */
    const char *value;
    /** How many bytes the value has. */
    size_t length;
    /** The revision of the change. */
    uint64_t revision;
    /** With GLOBSTASH_METADATA: who made the change; GLOBSTASH_NO_UID if that was nobody. */
    uint32_t writer_uid;
    /** For later. */
    uint32_t reserved_uint;
    /** With GLOBSTASH_METADATA: with which process; else 0. */
    int64_t writer_pid;
    /** For later. */
    uint64_t reserved[4];
} globstash_event;

/**
 * How far a watch has come: up to here everything was told. It has no pointers: keep it as it is,
 * or its fields, wherever a program keeps what it knows. All zero, it stands for nothing told yet.
 */
typedef struct globstash_position {
    /** The revision of the last change that was told. */
    uint64_t revision;
    /** The instance of the service in which it has this number, with a NUL: letters and digits. */
    char instance[56];
} globstash_position;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Reads a variable. What is not defined reads as an empty value, as with the command.
 *
 *     char volume[16];
 *     if (globstash_get("player/volume", volume, sizeof volume) > 0)
 *         puts(volume);
 *
 * Returns how many bytes the value has, without the NUL that is put behind it, or a negative number if
 * it fails; the buffer holds an empty string then. A value that does not fit with its NUL is not copied at
 * all: then the buffer holds an empty string, and the number is equal to or more than `size`. With a
 * size of 0 the buffer may be NULL. A value can be any bytes, also NUL.
 */
ssize_t globstash_get(const char *key,
                      char *buffer,
                      size_t size);

/**
 * Defines a variable, or replaces its value, with a text. A time to live or a process that it had
 * is gone then; protection stays.
 *
 * Returns 0, or a negative number if it fails.
 */
int globstash_set(const char *key,
                  const char *text);

/**
 * Deletes a variable. To delete what is not there is no failure.
 *
 * Returns 1 if it was there, 0 if not, and a negative number if it fails.
 */
int globstash_delete(const char *key);

/**
 * Tells whether a variable is defined, also if its value is empty.
 *
 * Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
 */
int globstash_exists(const char *key);

/**
 * Adds to the number that a variable holds; what is not defined counts as 0. However many add to it
 * at the same time, none is lost.
 *
 *     int64_t visitors;
 *     globstash_increment("site/visitors", 1, &visitors);
 *
 * `by` is between -999,999,999,999,999,999 and 999,999,999,999,999,999, which are 18 digits; with another
 * number it is GLOBSTASH_ERROR_ARGUMENT. A variable, too, holds numbers of up to 18 digits, before and
 * after the point together: if the sum has more, or if it holds no number at all, it is
 * GLOBSTASH_ERROR_NUMBER, and the variable stays as it is.
 *
 * `sum`, if it is not NULL, is what it holds now. If that is no whole number, because it was none
 * before, `sum` is without the decimals, as -1 of -1.75: globstash_increment_at() tells all of it.
 *
 * Returns 0, or a negative number if it fails.
 */
int globstash_increment(const char *key,
                        int64_t by,
                        int64_t *sum);

/**
 * Waits until a variable is defined, and reads it. If it is already, that is at once.
 *
 * `timeout_ms`: no longer than so many milliseconds, then it is GLOBSTASH_ERROR_TIMED_OUT; negative:
 * for ever. The service may be away for up to five seconds meanwhile.
 *
 * Buffer and result are as with globstash_get(), so it returns how many bytes the value has, or a
 * negative number if it fails.
 */
ssize_t globstash_wait(const char *key,
                       int64_t timeout_ms,
                       char *buffer,
                       size_t size);

/**
 * The number of this thread's last failure, such as GLOBSTASH_ERROR_KEY; 0 if there was none. What
 * succeeds leaves it as it is, as with errno.
 */
int globstash_error_code(void);

/**
 * The text of this thread's last failure: a sentence for the user, lower case and without a full
 * stop, in some cases with a second line that says what to do. Empty if there was none; never NULL.
 *
 * The text belongs to the library; do not free it. It stands at the same place of this thread always,
 * until the thread ends, and the next failure of the thread replaces it: copy what has to be kept, or
 * has to go to another thread. Because the place is the same, this is right, in whatever order a
 * compiler evaluates arguments:
 *
 *     printf("%d: %s\n", globstash_set("a=b", "1"), globstash_error_text());
 */
const char *globstash_error_text(void);

/**
 * The key of the variable that was the reason for this thread's last failure, such as the one that was not
 * as it had to be, of several that globstash_apply() was to change. Empty if no variable was the reason; of what
 * is too long for a key it is the beginning. Never NULL. For the rest as globstash_error_text().
 */
const char *globstash_error_key(void);

/**
 * What a number such as GLOBSTASH_ERROR_KEY means, in a few words, as strerror(3) does. Never NULL;
 * the text belongs to the library, for ever.
 */
const char *globstash_strerror(int code);

/**
 * Opens a handle to the service at an address: "unix:/path", "/path" or "unix:@name"; NULL for the
 * one that $GLOBSTASH_ADDRESS names, or else the one for all of the machine, at /run/globstash.
 *
 * `timeout_ms`: how long the service may take to answer, before it is GLOBSTASH_ERROR_SILENT; 0 for
 * five seconds; negative is refused. `flags`: 0, or GLOBSTASH_FAIL_WHEN_GONE. The default handle has these five seconds, and no
 * flags.
 *
 * Returns NULL if there is no service. Once there was one, it may come and go.
 */
globstash_stash *globstash_open(const char *address,
                                int64_t timeout_ms,
                                unsigned int flags);

/**
 * Opens a handle to the user's own service: at globstash in $XDG_RUNTIME_DIR, or else in /run/user/UID,
 * or else at /tmp/globstash-UID/socket. Otherwise as globstash_open().
 */
globstash_stash *globstash_open_user(int64_t timeout_ms,
                                     unsigned int flags);

/**
 * Closes a handle, with its connections. NULL is allowed, and nothing is done then; nor with
 * GLOBSTASH_DEFAULT, which is never closed. No other thread may be using it. Variables, lists and
 * watches that were opened with it stay, until they are closed.
 *
 * Returns NULL, always: `stash = globstash_close(stash);`
 */
globstash_stash *globstash_close(globstash_stash *stash);

/**
 * Tells whether variables are read from memory that is shared with the service, without a system call;
 * otherwise each read asks the service.
 *
 * Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
 */
int globstash_is_mapped(globstash_stash *stash);

/**
 * Tells whether the service is there, as far as its memory tells without a system call: while it is away after
 * a crash, variables are read as it left them, unless the handle has GLOBSTASH_FAIL_WHEN_GONE. To know it of
 * a value, ask after reading it. Where memory is not shared, it is 1: then reading fails.
 *
 * Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
 */
int globstash_is_served(globstash_stash *stash);

/**
 * The version of the library that runs, such as "0.1.0": it may be a later one than that of the
 * header, GLOBSTASH_VERSION.
 */
const char *globstash_version(void);

/**
 * Reads a variable, as globstash_get() does, and returns the same.
 *
 * `revision`, if it is not NULL, is the revision of its last change; 0 if it is not defined, which
 * is how to tell that from an empty value.
 */
ssize_t globstash_get_at(globstash_stash *stash,
                         const char *key,
                         void *buffer,
                         size_t size,
                         uint64_t *revision);

/**
 * Reads a variable into memory that is allocated for it, however long it is.
 *
 * `value` becomes a pointer to the bytes and a NUL behind them, to be released with free(3). It is
 * never NULL if this succeeds: what is not defined reads as an empty value, with the revision 0. If it
 * fails, `value` is left as it was.
 *
 * Returns how many bytes the value has, or a negative number if it fails.
 */
ssize_t globstash_get_alloc(globstash_stash *stash,
                            const char *key,
                            char **value,
                            uint64_t *revision);

/**
 * Defines a variable, or replaces its value, on some terms.
 *
 * `value`: `length` bytes of anything. `terms`: NULL for none. `revision`, if it is not NULL, is that of
 * the change; with GLOBSTASH_ERROR_CONDITION the one that the variable has, 0 if it is not defined.
 *
 * Returns 0, or a negative number if it fails.
 */
int globstash_set_at(globstash_stash *stash,
                     const char *key,
                     const void *value,
                     size_t length,
                     const globstash_terms *terms,
                     uint64_t *revision);

/**
 * Deletes a variable, if it is as it must be.
 *
 * `only_if`: NULL for no condition. `revision` is as with globstash_set_at(); if nothing was there to
 * delete, it is that of the last change of any variable.
 *
 * Returns 1 if it was there, 0 if not, and a negative number if it fails.
 */
int globstash_delete_at(globstash_stash *stash,
                        const char *key,
                        const globstash_condition *only_if,
                        uint64_t *revision);

/**
 * Deletes all variables that match a pattern, see globstash_list_open(); "**" matches all that there are,
 * and NULL is refused. Up to 4,096 go together, with one revision.
 *
 * Returns how many there were, or a negative number if it fails.
 */
int64_t globstash_delete_matching(globstash_stash *stash,
                                  const char *pattern);

/**
 * Tells whether a variable is defined, without its value. `revision`, if it is not NULL, is that of its
 * last change; 0 if it is not defined.
 *
 * Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
 */
int globstash_exists_at(globstash_stash *stash,
                        const char *key,
                        uint64_t *revision);

/**
 * Gives a variable so many milliseconds to live from now on, or, if that is negative, no end to it; with 0
 * it is gone at once. Its value stays as it is, and those who watch are told nothing of a new time.
 *
 * Returns 1 if it is defined, 0 if not, and a negative number if it fails.
 */
int globstash_expire_at(globstash_stash *stash,
                        const char *key,
                        int64_t ttl_ms);

/**
 * Adds to the number that a variable holds, and keeps the sum between limits.
 *
 * Numbers are texts such as "1", "-12" or "0.25", with up to 18 digits, before and after the point
 * together, where zeros that say nothing do not count; sums are exact. What is no such number is
 * GLOBSTASH_ERROR_ARGUMENT as an argument, and GLOBSTASH_ERROR_NUMBER in the variable or as the sum.
 * `minimum` and `maximum` are NULL for no limit; a sum beyond them becomes that limit.
 *
 * The sum is put into a buffer as with globstash_get(); 40 bytes are enough for each. With a size of 0
 * the buffer may be NULL.
 *
 * Returns how many bytes the sum has, or a negative number if it fails.
 */
ssize_t globstash_increment_at(globstash_stash *stash,
                               const char *key,
                               const char *by,
                               const char *minimum,
                               const char *maximum,
                               char *sum,
                               size_t size,
                               uint64_t *revision);

/**
 * Waits until a variable is as wanted, and reads it; if it is so already, at once.
 *
 *     globstash_condition until = { .kind = GLOBSTASH_IF_CHANGED, .revision = seen };
 *     globstash_wait_at(GLOBSTASH_DEFAULT, "config/mode", &until, 5000, mode, sizeof mode, &seen);
 *
 * `until` must not be NULL. `timeout_ms` is as with globstash_wait(). Buffer, revision and result are
 * as with globstash_get_at(). Other threads may go on using the handle meanwhile.
 */
ssize_t globstash_wait_at(globstash_stash *stash,
                          const char *key,
                          const globstash_condition *until,
                          int64_t timeout_ms,
                          void *buffer,
                          size_t size,
                          uint64_t *revision);

/**
 * Makes several changes at once: all of them or, if one condition does not hold or one change cannot
 * be made, none. Nobody ever sees some of them without the others, and those who watch are told all
 * of them together.
 *
 *     globstash_step take[] = {
 *         { .kind = GLOBSTASH_DO_DELETE, .key = "queue/1", .only_if = { .kind = GLOBSTASH_IF_DEFINED } },
 *         { .kind = GLOBSTASH_DO_SET, .key = "taken/1", .value = "wash up" },
 *         { .kind = GLOBSTASH_DO_INCREMENT, .key = "count/taken", .by = "1" },
 *     };
 *     int result = globstash_apply(GLOBSTASH_DEFAULT, take, 3, NULL);
 *
 * `steps`: `count` of them, up to 4,096. All conditions are looked at before the first change; then the
 * changes are made in this order, each seeing those before it. All get one revision. What the steps lead
 * to stays the caller's, and needs to be there only until this returns.
 *
 * `revision`, if it is not NULL, is that of the change; if nothing changed, that of the last change of
 * any variable. With GLOBSTASH_ERROR_CONDITION it is the one that the variable has which was not as it
 * had to be, 0 if it is not defined; globstash_error_key() tells which that is.
 *
 * All steps together may be up to 16 MiB, as they are sent: control characters in texts take six bytes
 * there. What is more is GLOBSTASH_ERROR_ARGUMENT.
 *
 * Returns 0, or a negative number if it fails. The text says which step is meant, the first is steps[0], or
 * which key; only of several numbers to add it does not say which is none.
 */
int globstash_apply(globstash_stash *stash,
                    const globstash_step *steps,
                    size_t count,
                    uint64_t *revision);

/**
 * Opens a variable, which needs not be defined, to be read again and again: where variables are read
 * from shared memory, that takes some nanoseconds.
 *
 * Returns NULL if there is no service.
 */
globstash_variable *globstash_variable_open(globstash_stash *stash,
                                            const char *key);

/**
 * Tells whether the variable has changed since the last call of this function or of
 * globstash_variable_get(); to begin with it has, if it is defined.
 *
 * Returns 1 if so, 0 if not, and a negative number if that cannot be told: look whether it is more than 0.
 */
int globstash_variable_changed(globstash_variable *variable);

/**
 * Reads the variable, as globstash_get() does. `value` becomes a pointer to the value and a NUL behind
 * it, which belong to the variable until the next call with it.
 *
 * Returns how many bytes the value has, or a negative number if it fails.
 */
ssize_t globstash_variable_get(globstash_variable *variable,
                               const char **value);

/**
 * The revision that the last call of globstash_variable_changed() or globstash_variable_get() has seen; 0 if
 * the variable was not defined, or before the first of these calls.
 */
uint64_t globstash_variable_revision(const globstash_variable *variable);

/** Closes a variable, which stays defined. NULL is allowed. Returns NULL, always. */
globstash_variable *globstash_variable_close(globstash_variable *variable);

/**
 * Begins a list of the variables that match a pattern, in the order of their keys; NULL: of all.
 *
 * A pattern is that of a shell: '*', '?', '[a-z]', '{one,two}'. '*' stops at '/', '**' does not, and what
 * ends with '/' is all below it.
 *
 * `flags`: 0, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, or both. A variable that is there all the time
 * is told exactly once, while others come and go.
 *
 *     int next;
 *     globstash_entry entry;
 *     globstash_list *list = globstash_list_open(GLOBSTASH_DEFAULT, "player/", 0);
 *     while ((next = globstash_list_next(list, &entry)) > 0)
 *         printf("%s=%s\n", entry.key, entry.value);
 *     if (next < 0)
 *         fprintf(stderr, "%s\n", globstash_error_text());
 *     globstash_list_close(list);
 *
 * Returns NULL if it fails.
 */
globstash_list *globstash_list_open(globstash_stash *stash,
                                    const char *pattern,
                                    unsigned int flags);

/**
 * Begins a list of exactly what there is at one moment, without metadata. It is read as a whole now,
 * from shared memory if that can be had; if variables change faster than that, it is
 * GLOBSTASH_ERROR_BUSY. Otherwise as globstash_list_open().
 */
globstash_list *globstash_scan_open(globstash_stash *stash,
                                    const char *pattern);

/**
 * The next variable of a list.
 *
 * Returns 1 if there is one, 0 at the end, and a negative number if the list cannot be told to its
 * end; then nothing more comes.
 */
int globstash_list_next(globstash_list *list,
                        globstash_entry *entry);

/** Ends a list, also before all of it was told. NULL is allowed. Returns NULL, always. */
globstash_list *globstash_list_close(globstash_list *list);

/**
 * Begins to watch the variables that match a pattern, see globstash_list_open(); NULL: all.
 *
 * What is there is told first, as GLOBSTASH_CHANGE_SET of each variable, then every change. When this
 * returns, no later change goes unnoticed. Who does not ask for events for a while misses values
 * that newer ones have replaced, never the last; nothing piles up.
 *
 * `flags`: 0, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, GLOBSTASH_FROM_NOW, or several of these, with |.
 *
 * The watch has a connection of its own. If that is lost, it goes on where it was, as soon as the
 * service is back; what is gone by then is told as deleted. After five seconds without a service it
 * fails. The watch belongs to this process, not to one that is forked from it.
 *
 * Returns NULL if it fails.
 */
globstash_watch *globstash_watch_open(globstash_stash *stash,
                                      const char *pattern,
                                      unsigned int flags);

/**
 * The descriptor to wait for with poll(2), epoll(7) and their like: readable when there may be something
 * to tell. It stays the same as long as the watch, and belongs to it: do not read from it, nor close it.
 *
 *     int next;
 *     struct pollfd ready = { .fd = globstash_watch_fd(watch), .events = POLLIN };
 *     do {
 *         while ((next = globstash_watch_next(watch, &event)) > 0)
 *             if (event.change == GLOBSTASH_CHANGE_SET)
 *                 printf("%s=%s\n", event.key, event.value);
 *             else
 *                 printf("%s is gone\n", event.key);
 *     } while (next == 0 && poll(&ready, 1, -1) >= 0);
 *
 * It tells of what has not been received: take all that globstash_watch_next() gives before you wait for
 * it, also the first time.
 *
 * Returns the descriptor, or a negative number if `watch` is NULL.
 */
int globstash_watch_fd(globstash_watch *watch);

/**
 * The next change, if there is one already. It does not sleep; while the service is away, the descriptor
 * tells when to call this again, so that it can look whether the service is back.
 *
 * Returns 1 if there is one, 0 if there is nothing to tell now, and a negative number if the watch has
 * failed; then nothing more comes but the same number.
 */
int globstash_watch_next(globstash_watch *watch,
                         globstash_event *event);

/**
 * The next change, however long that takes, but no longer than `timeout_ms` milliseconds, if that is not
 * negative: for programs that have nothing else to wait for.
 *
 * Returns 1 if there is one, 0 if none came in time, and a negative number as globstash_watch_next() does.
 */
int globstash_watch_wait(globstash_watch *watch,
                         globstash_event *event,
                         int64_t timeout_ms);

/**
 * Tells whether what was told adds up to the present state, as far as is known: whether nothing is left
 * to tell. Returns 1 if so, else 0; it cannot fail.
 */
int globstash_watch_is_up_to_date(const globstash_watch *watch);

/** How many changes were left out so far because newer ones took their place before they could be told. */
uint64_t globstash_watch_skipped(const globstash_watch *watch);

/** Ends a watch, and closes its descriptor. NULL is allowed. Returns NULL, always. */
globstash_watch *globstash_watch_close(globstash_watch *watch);

/**
 * Begins to watch where an earlier watch of the same pattern was, also that of a program that has ended:
 * as if it had been away from the service for so long. What was told then is not told again, and nothing
 * is left out but values that newer ones have replaced. If the service cannot tell any more what has
 * changed since, because that is too long ago or it was started anew, the present state is told.
 *
 * `position`: that of the earlier watch, see globstash_watch_position(); must not be NULL.
 *
 * `keys`: `count` keys of variables that were there at that time, as far as it matters when they are
 * gone; NULL and 0 if it does not. That they were deleted is told anyway while the service remembers
 * it; for longer only of these. All of them have to match the pattern.
 *
 * `flags`: 0, GLOBSTASH_KEYS_ONLY, GLOBSTASH_METADATA, or both. Otherwise as globstash_watch_open().
 */
globstash_watch *globstash_watch_resume(globstash_stash *stash,
                                        const char *pattern,
                                        unsigned int flags,
                                        const globstash_position *position,
                                        const char *const *keys,
                                        size_t count);

/**
 * Tells how far a watch has come: up to where everything was told that it has given. Kept together with
 * what was made of the events, it loses none: in the worst case the last ones are told again.
 *
 *     while (globstash_watch_next(watch, &event) > 0)
 *         take(&event);
 *     globstash_watch_position(watch, &position);
 *     save(&position);
 *
 * It moves when all events of a change were given, and while the service tells its present state, at the
 * end of that.
 *
 * Returns 0, or a negative number if it fails.
 */
int globstash_watch_position(globstash_watch *watch,
                             globstash_position *position);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GLOBSTASH_H */
