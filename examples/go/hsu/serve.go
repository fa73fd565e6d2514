package hsu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	corev1 "example.com/hsu/gen/corev1"
)

// claimTimeout is how long after its announce line a worker waits for a handshake.
const claimTimeout = 15 * time.Second

// Serve is the life of a worker: it returns nil when the worker has left, as it was told to, and an
// error when it could not begin. The process should end then: with code 0, or another one.
//
// A process that a master has launched does what the master says. Any other one starts at once, says
// on stdout where it listens, and serves until SIGTERM, SIGINT, Core.Shutdown or the end of ctx.
//
// Call it first thing in main: it takes the launch out of the environment, and watches from then on
// whether the master is there. What takes its time belongs into Worker.Start. While it serves,
// slog's default logger writes into the log that the master reads; the attribute "logger" names the
// logger of a record.
func Serve(ctx context.Context, w Worker) error {
	launched, err := takeLaunch()
	if err != nil {
		return err
	}
	if launched == nil {
		return serveAlone(ctx, w)
	}
	return serveLaunched(ctx, w, launched, claimTimeout)
}

// serveLaunched lives as a master's worker: it says where it listens, waits to be claimed, and does
// what Core is told.
func serveLaunched(ctx context.Context, w Worker, l *launch, claimTimeout time.Duration) error {
	var gone <-chan struct{}
	if l.hasLifeline {
		var err error
		if gone, err = watchLifeline(); err != nil {
			return err
		}
	}
	a, err := answer(w, l.listen, l.instance, l.unit, l.token)
	if err != nil {
		return err
	}
	defer logTo(a.handler)()
	defer a.departure.watchSignals()()
	defer a.departure.watchContext(ctx)()
	go a.departure.watchMaster(gone)
	if err := l.announceAt(a.address); err != nil {
		a.departure.ask(0, "the announce line can't be written: "+err.Error())
	}
	go a.leaveUnclaimed(claimTimeout)
	<-a.departure.asked
	a.shutDown()
	return nil
}

// serveAlone lives without a master.
func serveAlone(ctx context.Context, w Worker) error {
	if w.Listen == "" {
		w.Listen = "tcp:127.0.0.1:0"
	}
	at, err := parseAddress(w.Listen)
	if err != nil {
		return err
	}
	if !at.isLocal() {
		return fmt.Errorf("address %s: others in the network could read and make calls; "+
			"listen at tcp:127.0.0.1:0", at)
	}
	if w.Token != "" && !isToken(w.Token) {
		return errors.New("Worker.Token holds something else than printable ASCII without spaces")
	}
	a, err := answer(w, at, randomHex(16), "", w.Token)
	if err != nil {
		return err
	}
	defer logTo(teeHandler{a.handler, slog.NewTextHandler(os.Stderr, nil)})()
	defer a.departure.watchSignals()()
	defer a.departure.watchContext(ctx)()
	if err := a.startAlone(); err != nil {
		a.server.Stop()
		return err
	}
	<-a.departure.asked
	a.shutDown()
	return nil
}

// startAlone starts the worker, unless somebody asks it to leave meanwhile.
func (a *answering) startAlone() error {
	started := make(chan *corev1.StartResponse, 1)
	go func() {
		last, _ := a.lifecycle.start(context.Background(), func(*corev1.StartResponse) error { return nil })
		started <- last
	}()
	select {
	case last := <-started:
		if last.GetState() != corev1.State_STATE_RUNNING {
			return errors.New("the start failed: " + last.GetReason())
		}
		fmt.Printf("serving %s at %s\n", strings.Join(a.users.names, ", "), a.address)
	case <-a.departure.asked:
	}
	return nil
}

// leaveUnclaimed leaves when no master makes a handshake: it died in between.
func (a *answering) leaveUnclaimed(timeout time.Duration) {
	select {
	case <-a.claimed:
	case <-a.departure.asked:
	case <-time.After(timeout):
		a.departure.ask(0, fmt.Sprintf("no master made a handshake within %s", timeout))
	}
}
