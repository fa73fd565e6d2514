package hsu

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lifelineGrace is what calls in flight are given once the master is gone.
	lifelineGrace = 2 * time.Second
	// lastResort ends the process whatever its shutdown still waits for.
	lastResort = 15 * time.Second
)

// watchLifeline watches the pipe that a launched worker holds to its master, on descriptor 0. The
// channel is closed when the master is gone.
func watchLifeline() (<-chan struct{}, error) {
	// A copy: what the program reads from stdin, or hands to a child, must not be the master's pipe.
	copied, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("HSU_LIFELINE=stdin, and descriptor 0 is closed; " +
			"give the worker a pipe, or HSU_LIFELINE=none")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	if err := unix.Dup2(int(null.Fd()), 0); err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		pipe := os.NewFile(uintptr(copied), "lifeline")
		defer pipe.Close()
		for bytes := make([]byte, 4096); ; {
			if _, err := pipe.Read(bytes); err != nil {
				return
			}
		}
	}()
	return gone, nil
}
