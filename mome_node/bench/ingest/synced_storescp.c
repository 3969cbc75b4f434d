/* DCMTK's storescp as a durable receiver on a fast loopback: loaded before it by LD_PRELOAD.

   - A file that was opened for writing below MOME_BENCH_STORE is synced before it is closed, that
     is, before its C-STORE-RSP is sent.
   - Connections that were accepted are read with TCP_QUICKACK, set again after each read (it is
     not sticky), and answered with TCP_NODELAY.

   storescp itself has options for neither. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FILES 4096

static unsigned char accepted[MOST_FILES]; /* file descriptors of connections */

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static void acknowledge_at_once(int fd)
{
    int on = 1;
    if (fd >= 0 && fd < MOST_FILES && accepted[fd])
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static void sync_if_stored(int fd)
{
    const char *store = getenv("MOME_BENCH_STORE");
    char link[64], path[4096];
    struct stat status;
    ssize_t length;
    if (!store || fd < 0 || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path);
    if (length > (ssize_t)strlen(store) && !strncmp(path, store, strlen(store)) && fsync(fd)) {
        perror("fsync"); /* a copy that is not durable must not be measured as one */
        abort();
    }
}

int accept(int listener, struct sockaddr *address, socklen_t *length)
{
    static int (*original)(int, struct sockaddr *, socklen_t *);
    int on = 1, fd;
    if (!original)
        original = next("accept");
    fd = original(listener, address, length);
    if (fd >= 0 && fd < MOST_FILES) {
        accepted[fd] = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        acknowledge_at_once(fd);
    }
    return fd;
}

ssize_t read(int fd, void *buffer, size_t count)
{
    static ssize_t (*original)(int, void *, size_t);
    ssize_t found;
    if (!original)
        original = next("read");
    found = original(fd, buffer, count);
    acknowledge_at_once(fd);
    return found;
}

ssize_t recv(int fd, void *buffer, size_t count, int flags)
{
    static ssize_t (*original)(int, void *, size_t, int);
    ssize_t found;
    if (!original)
        original = next("recv");
    found = original(fd, buffer, count, flags);
    acknowledge_at_once(fd);
    return found;
}

int fclose(FILE *file)
{
    static int (*original)(FILE *);
    if (!original)
        original = next("fclose");
    if (!fflush(file))
        sync_if_stored(fileno(file));
    return original(file);
}

int close(int fd)
{
    static int (*original)(int);
    if (!original)
        original = next("close");
    if (fd >= 0 && fd < MOST_FILES)
        accepted[fd] = 0;
    return original(fd);
}
