package hsu

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// watchSignals makes the first SIGTERM or SIGINT ask the worker to leave; the second ends the process.
// The function that it returns gives the signals back.
func (d *departure) watchSignals() func() {
	// A write to a pipe whose reader has gone would end the process, in the middle of its shutdown.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		count := 0
		for number := range signals {
			if count++; count > 1 {
				os.Exit(128 + int(number.(syscall.Signal)))
			}
			d.ask(defaultGrace, number.String())
		}
	}()
	return func() {
		signal.Stop(signals)
		signal.Stop(broken)
		close(signals)
	}
}

// watchContext makes the end of a context ask the worker to leave.
func (d *departure) watchContext(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, func() {
		d.ask(defaultGrace, context.Cause(ctx).Error())
	})
	return func() { stop() }
}

// watchMaster makes the end of the lifeline ask the worker to leave, and ends the process when that
// takes too long. Without a lifeline it does nothing.
func (d *departure) watchMaster(gone <-chan struct{}) {
	if gone == nil {
		return
	}
	<-gone
	d.ask(lifelineGrace, "the master is gone")
	time.Sleep(lifelineGrace + lastResort)
	os.Exit(1)
}
