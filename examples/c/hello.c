/* Sets a variable and gets it: cc hello.c $(pkg-config --cflags --libs globstash) */
#include <globstash.h>
#include <stdio.h>

int main(void)
{
    char volume[16];
    if (globstash_set("player/volume", "0.5") < 0 ||
        globstash_get("player/volume", volume, sizeof volume) < 0) {
        fprintf(stderr, "hello: %s\n", globstash_error_text());
        return 1;
    }
    printf("the volume is %s\n", volume);
    return 0;
}
