/* The library as part of a plug-in: loaded while the program runs. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <globstash.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef ssize_t get_function(const char *, char *, size_t);
typedef int set_function(const char *, const char *);

static get_function *get;

static void *in_a_thread(void *result)
{
    char value[8];
    *(int *)result = get("plug", value, sizeof value) == 2 && strcmp(value, "in") == 0;
    return NULL;
}

int main(int count, char **arguments)
{
    set_function *set;
    pthread_t thread;
    int is_so = 0;
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    /* As POSIX says it has to be done. */
    *(void **)&set = dlsym(library, "globstash_set");
    *(void **)&get = dlsym(library, "globstash_get");
    if (set == NULL || get == NULL || set("plug", "in") != 0)
        return 2;
    /* A thread that ends before the library goes: what it has there goes with it. */
    if (pthread_create(&thread, NULL, in_a_thread, &is_so) != 0 || pthread_join(thread, NULL) != 0)
        return 3;
    if (!is_so)
        return 4;
    dlclose(library);
    return 0;
}
