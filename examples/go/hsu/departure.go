package hsu

import (
	"log/slog"
	"sync"
	"time"
)

// defaultGrace is what calls in flight are given when nobody says otherwise.
const defaultGrace = 30 * time.Second

// A departure is the wish that the worker leaves: asked for by Shutdown, a signal, the end of the
// lifeline, or a master that never came.
type departure struct {
	mu       sync.Mutex
	deadline time.Time
	// asked is closed by the first wish, began as soon as new calls are refused.
	asked, began chan struct{}
	sooner       chan struct{}
}

func newDeparture() *departure {
	return &departure{
		asked:  make(chan struct{}),
		began:  make(chan struct{}),
		sooner: make(chan struct{}, 1),
	}
}

// ask asks the worker to leave, and returns what calls in flight are given from now on. Who asks
// later can only shorten it.
func (d *departure) ask(grace time.Duration, why string) time.Duration {
	slog.Info("leaving: " + why)
	d.mu.Lock()
	defer d.mu.Unlock()
	deadline := time.Now().Add(max(0, grace))
	switch {
	case d.deadline.IsZero():
		d.deadline = deadline
		close(d.asked)
	case deadline.Before(d.deadline):
		d.deadline = deadline
		select {
		case d.sooner <- struct{}{}:
		default:
		}
	}
	return max(0, time.Until(d.deadline))
}

// wait waits for something as long as calls in flight are given; whether it came.
func (d *departure) wait(ended <-chan struct{}) bool {
	for {
		d.mu.Lock()
		left := time.Until(d.deadline)
		d.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-ended:
			timer.Stop()
			return true
		case <-d.sooner:
			timer.Stop()
		case <-timer.C:
			return false
		}
	}
}
