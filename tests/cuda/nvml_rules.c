#include "nvml.h"

static const char *rules_of(const char *variable, char *buffer, size_t size) {
    const char *rules = text_setting(variable, "");
    if (*rules != '@') return rules;
    FILE *file = fopen(rules + 1, "re");
    size_t length = file ? fread(buffer, 1, size - 1, file) : 0;
    if (file) fclose(file);
    buffer[length] = 0;
    return buffer;
}

/* The value of ``name`` among comma-separated rules name=value; 0 where it has none. */
static int find(const char *rules, const char *name, unsigned long long *value) {
    size_t length = strlen(name);
    for (const char *rule = rules; rule; rule = strchr(rule, ',') ? strchr(rule, ',') + 1 : NULL) {
        if (strncmp(rule, name, length) != 0 || rule[length] != '=') continue;
        *value = strtoull(rule + length + 1, NULL, 0);
        return 1;
    }
    return 0;
}

unsigned long long setting(const char *variable, const char *query, int card,
                           unsigned long long otherwise) {
    char buffer[4096], of_card[96], all_of_card[32];
    const char *rules = rules_of(variable, buffer, sizeof buffer);
    unsigned long long value;
    snprintf(of_card, sizeof of_card, "%s@%d", query, card);
    snprintf(all_of_card, sizeof all_of_card, "*@%d", card);
    if (find(rules, of_card, &value) || find(rules, query, &value)) return value;
    if (find(rules, all_of_card, &value) || find(rules, "*", &value)) return value;
    return otherwise;
}
