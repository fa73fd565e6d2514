package hsu

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	// unwindTimeout is for handlers that were cut off to notice it.
	unwindTimeout = time.Second
	// flushTimeout is for the last log records to reach whoever follows them.
	flushTimeout = 500 * time.Millisecond
	// stopTimeout is for connections to end of themselves, once nothing runs on them any more.
	stopTimeout = 500 * time.Millisecond
)

// shutDown leaves in this order. Core and health answer to the end.
func (a *answering) shutDown() {
	// New calls are refused, with the dispatch "no"; health says NOT_SERVING and ends each Watch.
	a.lifecycle.drain()
	close(a.departure.began)
	a.reflection.calls.cutOff()

	// The calls in flight, up to the grace.
	if !a.departure.wait(a.users.calls.ended()) {
		count := a.users.calls.cutOff()
		slog.Warn(fmt.Sprintf("%d calls were cut off: they took longer than the grace", count))
		within(unwindTimeout, a.users.calls.ended())
	}

	// What Start has acquired.
	a.lifecycle.finish(leaveTimeout)

	// Whoever follows the log reads its last record.
	slog.Info("left")
	a.ring.close()
	if !within(flushTimeout, a.own.calls.ended()) {
		a.own.calls.cutOff()
		within(flushTimeout, a.own.calls.ended())
	}

	stopped := make(chan struct{})
	go func() {
		a.server.GracefulStop()
		close(stopped)
	}()
	if !within(stopTimeout, stopped) {
		a.server.Stop()
	}
}

// within waits for something, so long; whether it came.
func within(timeout time.Duration, came <-chan struct{}) bool {
	select {
	case <-came:
		return true
	case <-time.After(timeout):
		return false
	}
}
