/* Verifies a webhook with OpenSSL: the least that a check can cost. Prints one JSON object on one line.
 *
 * Arguments: seconds, the secret in base64, id, timestamp, the signature in base64, the body's size; the body is on standard
 * input. The key is prepared once, the signed content is hashed in parts without joining them, and no headers are parsed. */

/* HMAC_* is deprecated in OpenSSL 3, but still the fastest there. */
#define OPENSSL_API_COMPAT 0x10100000L
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DIGEST = 32, ENCODED = 44, TOLERANCE = 300, BLOCKS = 100000 };

struct webhook {
    const char *id, *timestamp, *signature;
    unsigned char *body;
    size_t size;
};

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Return whether a webhook was signed with the key and is recent. */
static int genuine(HMAC_CTX *key, const struct webhook *webhook) {
    unsigned char expected[DIGEST], encoded[ENCODED + 1];
    const unsigned char *dot = (const unsigned char *)".";
    long long age = (long long)time(NULL) - strtoll(webhook->timestamp, NULL, 10);
    if (age < -TOLERANCE || age > TOLERANCE || strlen(webhook->signature) != ENCODED)
        return 0;
    /* Without a key, HMAC_Init_ex reuses the previous one, whose state is prepared. */
    if (!HMAC_Init_ex(key, NULL, 0, NULL, NULL) ||
        !HMAC_Update(key, (const unsigned char *)webhook->id, strlen(webhook->id)) || !HMAC_Update(key, dot, 1) ||
        !HMAC_Update(key, (const unsigned char *)webhook->timestamp, strlen(webhook->timestamp)) || !HMAC_Update(key, dot, 1) ||
        !HMAC_Update(key, webhook->body, webhook->size) || !HMAC_Final(key, expected, NULL))
        return 0;
    EVP_EncodeBlock(encoded, expected, DIGEST);
    return CRYPTO_memcmp(encoded, webhook->signature, ENCODED) == 0;
}

static int by_number(const void *one, const void *other) {
    double left = *(const double *)one, right = *(const double *)other;
    return (left > right) - (left < right);
}

/* Return the seconds that so many checks take, or -1 if one fails. */
static double block(HMAC_CTX *key, const struct webhook *webhook, int checks) {
    double started = seconds(CLOCK_MONOTONIC);
    for (int each = 0; each < checks; each++)
        if (!genuine(key, webhook))
            return -1;
    return seconds(CLOCK_MONOTONIC) - started;
}

/* Print the median over blocks that take a millisecond or one check. */
static int measure(HMAC_CTX *key, const struct webhook *webhook, double duration) {
    static double times[BLOCKS];
    int checks = 1, blocks = 0;
    while (block(key, webhook, checks) < 1e-3 && checks < 1 << 20)
        checks *= 2;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), end = seconds(CLOCK_MONOTONIC) + duration;
    while (blocks < BLOCKS && (blocks == 0 || seconds(CLOCK_MONOTONIC) < end))
        if ((times[blocks++] = block(key, webhook, checks)) < 0)
            return 1;
    cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / blocks / checks;
    qsort(times, (size_t)blocks, sizeof *times, by_number);
    printf("{\"us\": %.4f, \"cpu_us\": %.4f}\n", times[blocks / 2] / checks * 1e6, cpu * 1e6);
    return 0;
}

int main(int count, char **arguments) {
    unsigned char secret[256];
    if (count != 7 || strlen(arguments[2]) > sizeof secret)
        return 2;
    struct webhook webhook = {arguments[3], arguments[4], arguments[5], NULL, (size_t)atoll(arguments[6])};
    int length = EVP_DecodeBlock(secret, (const unsigned char *)arguments[2], (int)strlen(arguments[2]));
    HMAC_CTX *key = HMAC_CTX_new();
    webhook.body = malloc(webhook.size);
    /* EVP_DecodeBlock counts padding as bytes; this secret has none. */
    if (length <= 0 || key == NULL || webhook.body == NULL || !HMAC_Init_ex(key, secret, length, EVP_sha256(), NULL) ||
        fread(webhook.body, 1, webhook.size, stdin) != webhook.size)
        return 2;
    int accepted = genuine(key, &webhook);
    webhook.body[webhook.size / 2] ^= 1;
    int refused = !genuine(key, &webhook);
    webhook.body[webhook.size / 2] ^= 1;
    if (!accepted || !refused) {
        fprintf(stderr, "wrong answer: accepted %d, refused %d\n", accepted, refused);
        return 1;
    }
    return measure(key, &webhook, atof(arguments[1]));
}
