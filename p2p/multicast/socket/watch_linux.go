package socket

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// notices returns a channel that has a value after the kernel told of a change
// of links or addresses, and what ends that. Without netlink it never has one.
func notices() (told <-chan struct{}, stop func()) {
	out := make(chan struct{}, 1)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return out, func() {}
	}
	file := os.NewFile(uintptr(fd), "netlink")
	err = unix.Bind(fd, &unix.SockaddrNetlink{
		Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR,
	})
	if err != nil {
		_ = file.Close() // nothing was written to it
		return out, func() {}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 16<<10)
		for {
			// What the messages say does not matter: the interfaces are read anew.
			// A message that was lost (ENOBUFS) says as much.
			if _, err := file.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	})
	return out, func() {
		_ = file.Close() // as above
		wg.Wait()
	}
}
