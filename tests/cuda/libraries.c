/* Stands in for NVIDIA's driver, cuBLAS and cuRAND: memory is the host's, and no kernel runs.
 *
 * As on a card, a copy from page-locked memory is only promised when its call returns: it happens when somebody waits for it, so
 * whoever writes into the buffer too early changes what arrives. An event stands for the copies that were promised when it was
 * recorded; one that never was stands for none. MOCK_MEMORY is the size of the card in bytes, and MOCK_LOG a
 * file that gets a line for each call that a test wants to know of. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, LAUNCH_FAILED = 719, COPIES = 64, LOCKED = 8, POOLS_SUPPORTED = 115 };

static struct { void *to; const void *from; size_t bytes; } promised[COPIES];
static struct { char *start; size_t bytes; } locked[LOCKED];
static int promises, locks;
static long kept; /* Copies that happened. */
static size_t used;
static int broken;

static void note(const char *what, unsigned long long number) {
    const char *path = getenv("MOCK_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (!log) return;
    fprintf(log, "%s %llu\n", what, number);
    fclose(log);
}

static int keep_some(int count) {
    if (count < 0) count = 0;
    for (int i = 0; i < count; i++) memcpy(promised[i].to, promised[i].from, promised[i].bytes);
    memmove(promised, promised + count, (promises - count) * sizeof *promised);
    promises -= count, kept += count;
    return broken ? LAUNCH_FAILED : SUCCESS;
}

static int keep_promises(void) { return keep_some(promises); }

static int is_locked(const char *from) {
    for (int i = 0; i < locks; i++)
        if (from >= locked[i].start && from < locked[i].start + locked[i].bytes) return 1;
    return 0;
}

int cuInit(unsigned flags) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = 2, SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, ordinal < 2 ? SUCCESS : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { return *value = attribute == POOLS_SUPPORTED, SUCCESS; }
int cuDeviceGetUuid_v2(unsigned char *bytes, int device) { return memset(bytes, device, 16), SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = &used, note("open", device), SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int device) { return SUCCESS; }
int cuCtxSetCurrent(void *context) { return SUCCESS; }
int cuCtxGetCurrent(void **context) { return *context = &used, SUCCESS; }
int cuCtxSynchronize(void) { return keep_promises(); }
int cuStreamCreate(void **stream, unsigned flags) { return *stream = &promises, SUCCESS; }
int cuStreamDestroy_v2(void *stream) { return SUCCESS; }
int cuStreamSynchronize(void *stream) { return keep_promises(); }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return SUCCESS; }
int cuEventCreate(void **event, unsigned flags) { return *event = calloc(1, sizeof kept), note("event", flags), SUCCESS; }
int cuEventDestroy_v2(void *event) { return free(event), SUCCESS; }
int cuEventRecord(long *event, void *stream) { return *event = kept + promises, SUCCESS; }
int cuEventSynchronize(long *event) { return keep_some(*event - kept); }
int cuModuleLoadData(void **module, const void *image) { return *module = &broken, SUCCESS; }
int cuModuleUnload(void *module) { return SUCCESS; }
int cuModuleGetFunction(void **function, void *module, const char *name) { return *function = &broken, SUCCESS; }
int cuLaunchKernel(void *function) { return broken = 1, note("launch", 0), LAUNCH_FAILED; }

int cuMemAllocAsync(uintptr_t *memory, size_t bytes, void *stream) {
    const char *size = getenv("MOCK_MEMORY");
    size_t *start;
    if (size && used + bytes > strtoull(size, NULL, 10)) return OUT_OF_MEMORY;
    start = malloc(bytes + 16);
    *start = bytes;
    used += bytes;
    *memory = (uintptr_t)(start + 2);
    return SUCCESS;
}
int cuMemFreeAsync(uintptr_t memory, void *stream) {
    size_t *start = (size_t *)memory - 2;
    keep_promises();
    used -= *start;
    free(start);
    return SUCCESS;
}
int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, void *stream) {
    keep_promises();
    return memset((void *)to, value, bytes), SUCCESS;
}
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, void *stream) {
    if (is_locked(from)) {
        if (promises == COPIES) abort();
        promised[promises].to = (void *)to, promised[promises].from = from, promised[promises++].bytes = bytes;
        return note("staged", bytes), SUCCESS;
    }
    keep_promises();
    return memcpy((void *)to, from, bytes), SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, void *stream) {
    keep_promises();
    return memcpy(to, (void *)from, bytes), SUCCESS;
}
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void *stream) {
    keep_promises();
    return memcpy((void *)to, (void *)from, bytes), SUCCESS;
}
int cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
    if (locks == LOCKED) abort();
    locked[locks].start = *memory = malloc(bytes);
    return locked[locks++].bytes = bytes, note("lock", bytes), SUCCESS;
}
int cuMemFreeHost(void *memory) { return note("unlock", 0), free(memory), SUCCESS; }
int cuDeviceGetDefaultMemPool(void **pool, int device) { return *pool = &used, SUCCESS; }
int cuMemPoolSetAttribute(void *pool, int attribute, uint64_t *value) { return note("keep", *value), SUCCESS; }
int cuMemPoolTrimTo(void *pool, size_t kept) { return note("trim", used), SUCCESS; }

int cublasCreate_v2(void **handle) { return *handle = &used, SUCCESS; }
int cublasDestroy_v2(void *handle) { return SUCCESS; }
int cublasSetStream_v2(void *handle, void *stream) { return SUCCESS; }
int cublasGemmStridedBatchedEx(void *handle) { return 13; }

int curandCreateGenerator(void **generator, int kind) { return *generator = &used, SUCCESS; }
int curandDestroyGenerator(void *generator) { return SUCCESS; }
int curandSetStream(void *generator, void *stream) { return SUCCESS; }
int curandSetPseudoRandomGeneratorSeed(void *generator, unsigned long long seed) { return SUCCESS; }
