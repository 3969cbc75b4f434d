/* What makes, changes and takes names, and what makes bytes and names last. */

#include "record.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t names_in_order = PTHREAD_MUTEX_INITIALIZER;

/* Opening */

static void opened(int fd, const char *name, const struct place *parent, int is_new, int flags) {
    struct place file;
    if (fd < 0 || !is_watched(fd, &file) || !S_ISREG(file.mode)) return;
    if ((flags & O_TMPFILE) == O_TMPFILE || is_new)
        record(FILE_MADE, file.inode, 0, 0, file.path, NULL, 0);
    if (is_new) record(LINKED, parent->inode, file.inode, 0, name, NULL, 0);
    else if (flags & O_TRUNC) record(RESIZED, file.inode, 0, 0, file.path, NULL, 0);
}

#define OPENED(at, path, flags, call) \
    struct place parent; \
    const char *name = (flags) & O_CREAT ? parent_of(at, path, &parent) : NULL; \
    if (name) pthread_mutex_lock(&names_in_order); \
    int is_new = name && !inode_at(at, path); \
    int fd = call; \
    opened(fd, name, &parent, is_new, flags); \
    if (name) pthread_mutex_unlock(&names_in_order); \
    return fd

#define MODE(last) \
    va_list rest; \
    va_start(rest, last); \
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0; \
    va_end(rest)

#define OPEN(open, openat, creat) \
    int open(const char *path, int flags, ...) { \
        NEXT(open); MODE(flags); OPENED(AT_FDCWD, path, flags, next(path, flags, mode)); } \
    int openat(int at, const char *path, int flags, ...) { \
        NEXT(openat); MODE(flags); OPENED(at, path, flags, next(at, path, flags, mode)); } \
    int creat(const char *path, mode_t mode) { \
        NEXT(creat); \
        OPENED(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, next(path, mode)); }
OPEN(open, openat, creat)
OPEN(open64, openat64, creat64)

/* Names */

int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) {
    NEXT(renameat2);
    struct place source, target;
    const char *old = parent_of(at, from, &source), *new = parent_of(to_at, to, &target);
    pthread_mutex_lock(&names_in_order);
    int result = next(at, from, to_at, to, flags);
    if (result == 0 && (old || new)) {
        if (!old || !new || flags & ~(unsigned)RENAME_NOREPLACE)
            record_unknown("rename across the root");
        else
            record(RENAMED, source.inode, target.inode, 0, old, new, strlen(new));
    }
    pthread_mutex_unlock(&names_in_order);
    return result;
}

int renameat(int at, const char *from, int to_at, const char *to) {
    return renameat2(at, from, to_at, to, 0);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int at, const char *from, int to_at, const char *to, int flags) {
    NEXT(linkat);
    struct place parent;
    const char *name = parent_of(to_at, to, &parent);
    pthread_mutex_lock(&names_in_order);
    int result = next(at, from, to_at, to, flags);
    if (result == 0 && name) record(LINKED, parent.inode, inode_at(to_at, to), 0, name, NULL, 0);
    pthread_mutex_unlock(&names_in_order);
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int at, const char *path) {
    NEXT(symlinkat);
    struct place parent;
    if (parent_of(at, path, &parent)) record_unknown("symlink");
    return next(target, at, path);
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int at, const char *path, int flags) {
    NEXT(unlinkat);
    struct place parent;
    const char *name = parent_of(at, path, &parent);
    pthread_mutex_lock(&names_in_order);
    int result = next(at, path, flags);
    if (result == 0 && name) record(UNLINKED, parent.inode, 0, 0, name, NULL, 0);
    pthread_mutex_unlock(&names_in_order);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
    NEXT(mkdirat);
    struct place parent;
    const char *name = parent_of(at, path, &parent);
    pthread_mutex_lock(&names_in_order);
    int result = next(at, path, mode);
    if (result == 0 && name)
        record(DIRECTORY_MADE, parent.inode, inode_at(at, path), 0, name, NULL, 0);
    pthread_mutex_unlock(&names_in_order);
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* Syncs */

static int synced(int fd, int (*sync)(int), int of_all) {
    struct place place;
    if (!is_watched(fd, &place)) return sync(fd);
    if (is_dropped(&place) || (of_all && drops_syncs())) return 0;
    uint64_t inode = of_all ? 0 : place.inode, which = record_sync(inode, place.path);
    int result = sync(fd);
    if (result == 0) record(SYNC_ENDED, inode, which, 0, place.path, NULL, 0);
    return result;
}

int fsync(int fd) { NEXT(fsync); return synced(fd, next, 0); }
int fdatasync(int fd) { NEXT(fdatasync); return synced(fd, next, 0); }
int syncfs(int fd) { NEXT(syncfs); return synced(fd, next, 1); }
