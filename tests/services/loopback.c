/* Preloaded into servers that would listen on every address of the machine: they listen on loopback instead. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

typedef int (*bind_function)(int, const struct sockaddr *, socklen_t);

int bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    bind_function real = (bind_function)dlsym(RTLD_NEXT, "bind");

    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in narrowed;
        memcpy(&narrowed, address, sizeof narrowed);
        if (narrowed.sin_addr.s_addr == htonl(INADDR_ANY))
            narrowed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return real(descriptor, (const struct sockaddr *)&narrowed, sizeof narrowed);
    }
    if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 narrowed;
        memcpy(&narrowed, address, sizeof narrowed);
        if (IN6_IS_ADDR_UNSPECIFIED(&narrowed.sin6_addr))
            narrowed.sin6_addr = in6addr_loopback;
        return real(descriptor, (const struct sockaddr *)&narrowed, sizeof narrowed);
    }
    return real(descriptor, address, length);
}
