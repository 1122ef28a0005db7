/* Preloaded into a receiver, makes what it writes durable: fsync before a regular file that was open for writing is
   closed. Counts its fsyncs in the first eight bytes of the file that KUVA_FSYNC_COUNT names, so that a test can tell. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t *count;

__attribute__((constructor)) static void open_count(void)
{
    const char *path = getenv("KUVA_FSYNC_COUNT");
    int fd = path ? open(path, O_RDWR) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) count = mapped;
    /* Left open: close() would come by here. */
}

static void make_durable(int fd)
{
    struct stat about;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return;
    if (fsync(fd) == 0 && count) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

int close(int fd)
{
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (fd > 2) make_durable(fd);
    return real(fd);
}

int fclose(FILE *stream)
{
    static int (*real)(FILE *);
    if (!real) real = (int (*)(FILE *))dlsym(RTLD_NEXT, "fclose");
    int fd = fileno(stream);
    /* The C library closes the descriptor by a call of its own, which does not come by close() above. */
    if (fd > 2 && fflush(stream) == 0) make_durable(fd);
    return real(stream);
}
