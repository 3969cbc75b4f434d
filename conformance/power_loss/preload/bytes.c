/* What changes a file's bytes or its size, and what is sent. */

#include "record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Writing */

static void wrote(const struct place *file, int fd, uint64_t offset, const void *data, size_t n) {
    record(WRITTEN, file->inode, 0, offset, file->path, data, n);
    if (fcntl(fd, F_GETFL) & O_DSYNC && !is_dropped(file)) {
        uint64_t sync = record_sync(file->inode, file->path);
        record(SYNC_ENDED, file->inode, sync, 0, file->path, NULL, 0);
    }
}

static void *gathered(const struct iovec *parts, int count, size_t most, size_t *length) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += parts[i].iov_len;
    *length = total < most ? total : most;
    char *data = malloc(*length + 1), *end = data;
    for (int i = 0; i < count && end < data + *length; i++) {
        size_t left = (size_t)(data + *length - end);
        size_t n = parts[i].iov_len < left ? parts[i].iov_len : left;
        end = (char *)mempcpy(end, parts[i].iov_base, n);
    }
    return data;
}

static void sends(int fd, const struct iovec *parts, int count) {
    uint64_t connection = connection_of(fd);
    if (!connection) return;
    size_t length;
    void *data = gathered(parts, count, SIZE_MAX, &length);
    record(SENT, connection, 0, 0, "", data, length);
    free(data);
}

#define PART(data, n) (&(struct iovec){(void *)(data), n})

static ssize_t written(int fd, const struct iovec *parts, int count, int64_t at, ssize_t n) {
    struct place file;
    if (n > 0 && is_watched(fd, &file)) {
        uint64_t offset = (uint64_t)(at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - n);
        size_t length;
        void *data = gathered(parts, count, (size_t)n, &length);
        wrote(&file, fd, offset, data, length);
        free(data);
    }
    return n;
}

ssize_t write(int fd, const void *data, size_t n) {
    NEXT(write);
    sends(fd, PART(data, n), 1);
    return written(fd, PART(data, n), 1, -1, next(fd, data, n));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(writev);
    sends(fd, parts, count);
    return written(fd, parts, count, -1, next(fd, parts, count));
}

#define WRITE_AT(pwrite, pwritev, pwritev2, offset_t) \
    ssize_t pwrite(int fd, const void *data, size_t n, offset_t at) { \
        NEXT(pwrite); return written(fd, PART(data, n), 1, at, next(fd, data, n, at)); } \
    ssize_t pwritev(int fd, const struct iovec *parts, int count, offset_t at) { \
        NEXT(pwritev); return written(fd, parts, count, at, next(fd, parts, count, at)); } \
    ssize_t pwritev2(int fd, const struct iovec *parts, int count, offset_t at, int flags) { \
        NEXT(pwritev2); \
        if (flags) record_unknown("pwritev2 with flags"); \
        return written(fd, parts, count, at, next(fd, parts, count, at, flags)); }
WRITE_AT(pwrite, pwritev, pwritev2, off_t)
WRITE_AT(pwrite64, pwritev64, pwritev64v2, off64_t)

/* What the kernel has copied into a file, read back from it. */
static ssize_t copied(int fd, int64_t end, ssize_t n) {
    struct place file;
    if (n > 0 && is_watched(fd, &file)) {
        char link[40];
        uint64_t offset = (uint64_t)((end >= 0 ? end : lseek(fd, 0, SEEK_CUR)) - n);
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
        char *data = malloc((size_t)n);
        if (pread(reader, data, (size_t)n, (off_t)offset) != n) abort();
        wrote(&file, fd, offset, data, (size_t)n);
        free(data);
        syscall(SYS_close, reader);
    }
    return n;
}

ssize_t sendfile(int out, int in, off_t *from, size_t n) {
    NEXT(sendfile);
    return copied(out, -1, next(out, in, from, n));
}

ssize_t sendfile64(int out, int in, off64_t *from, size_t n) {
    NEXT(sendfile64);
    return copied(out, -1, next(out, in, from, n));
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    NEXT(copy_file_range);
    ssize_t done = next(in, from, out, to, n, flags);
    return copied(out, to ? *to : -1, done);
}

ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    NEXT(splice);
    ssize_t done = next(in, from, out, to, n, flags);
    return copied(out, to ? *to : -1, done);
}

/* Sizes */

static int resized(int fd, int result) {
    struct place file;
    struct stat found;
    if (result == 0 && is_watched(fd, &file) && fstat(fd, &found) == 0)
        record(RESIZED, file.inode, 0, (uint64_t)found.st_size, file.path, NULL, 0);
    return result;
}

static void refuse(int fd, const char *what) {
    struct place file;
    if (is_watched(fd, &file) && !strstr(file.path, "-shm")) /* SQLite makes it anew */
        record_unknown(what);
}

#define RESIZE(ftruncate, fallocate, posix_fallocate, offset_t) \
    int ftruncate(int fd, offset_t size) { NEXT(ftruncate); return resized(fd, next(fd, size)); } \
    int posix_fallocate(int fd, offset_t at, offset_t n) { \
        NEXT(posix_fallocate); return resized(fd, next(fd, at, n)); } \
    int fallocate(int fd, int mode, offset_t at, offset_t n) { \
        NEXT(fallocate); \
        if (mode & ~FALLOC_FL_KEEP_SIZE) refuse(fd, "fallocate that changes bytes"); \
        return resized(fd, next(fd, mode, at, n)); }
RESIZE(ftruncate, fallocate, posix_fallocate, off_t)
RESIZE(ftruncate64, fallocate64, posix_fallocate64, off64_t)

#define MAP(mmap, offset_t) \
    void *mmap(void *where, size_t n, int access, int flags, int fd, offset_t at) { \
        NEXT(mmap); \
        if (fd >= 0 && flags & MAP_SHARED && access & PROT_WRITE) refuse(fd, "shared mapping"); \
        return next(where, n, access, flags, fd, at); }
MAP(mmap, off_t)
MAP(mmap64, off64_t)

/* Sending */

ssize_t send(int fd, const void *data, size_t n, int flags) {
    NEXT(send);
    sends(fd, PART(data, n), 1);
    return next(fd, data, n, flags);
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to,
               socklen_t size) {
    NEXT(sendto);
    sends(fd, PART(data, n), 1);
    return next(fd, data, n, flags, to, size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    NEXT(sendmsg);
    sends(fd, message->msg_iov, (int)message->msg_iovlen);
    return next(fd, message, flags);
}
