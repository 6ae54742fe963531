/* The header on its own, in every language that it is for. */
#include <globstash.h>

/* Programs that were compiled with an earlier version count on these. */
#define MUST_BE(name, what) typedef char name[(what) ? 1 : -1]
MUST_BE(condition, sizeof(globstash_condition) == 40);
MUST_BE(terms, sizeof(globstash_terms) == 96);
MUST_BE(entry, sizeof(globstash_entry) == 112);
MUST_BE(event, sizeof(globstash_event) == 88);
MUST_BE(step, sizeof(globstash_step) == 128);
MUST_BE(position, sizeof(globstash_position) == 64);

int main(void)
{
    condition a;
    terms b;
    entry c;
    event d;
    step e;
    position f;
    a[0] = b[0] = c[0] = d[0] = e[0] = f[0] = 0;
    return a[0] + b[0] + c[0] + d[0] + e[0] + f[0] + GLOBSTASH_OWN_PROCESS + 1;
}
