package hsu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// leaveTimeout is how long releasing may take, once the process is on its way out.
// What comes before and after has to fit into the contract's 10 s, too.
const leaveTimeout = 7 * time.Second

// errStopped is why the context of a start ends that is abandoned.
var errStopped = errors.New("stopped before it had started")

// A run is one time that what the worker needs is acquired and released.
type run struct {
	abandon  context.CancelCauseFunc
	progress *corev1.StartResponse
	// outcome is the start's last message, once it has ended.
	outcome *corev1.StartResponse
	// leave is closed when the run has to end, ended when it has.
	leave, ended chan struct{}
	isLeaving    bool
}

// A lifecycle is the state of a worker; Start, Stop and Shutdown of Core are calls to it.
type lifecycle struct {
	unit    string
	acquire func(context.Context, Progress) error
	release func(context.Context) error
	calls   *calls

	// mu is held for reading while a call is let in, so that none slips in behind a change.
	mu       sync.RWMutex
	state    corev1.State
	reason   string
	run      *run
	stopping chan struct{}
	change   chan struct{}
}

func newLifecycle(w Worker, unit string, c *calls) *lifecycle {
	l := &lifecycle{
		unit:    unit,
		acquire: w.Start,
		release: w.Stop,
		calls:   c,
		state:   corev1.State_STATE_STOPPED,
		change:  make(chan struct{}),
	}
	if l.acquire == nil {
		l.acquire = func(context.Context, Progress) error { return nil }
	}
	if l.release == nil {
		l.release = func(context.Context) error { return nil }
	}
	return l
}

// now is the state, why a start failed, and a channel that is closed when either is another one, or
// the progress of a start is.
func (l *lifecycle) now() (corev1.State, string, <-chan struct{}) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.state, l.reason, l.change
}

func (l *lifecycle) isRunning() bool {
	state, _, _ := l.now()
	return state == corev1.State_STATE_RUNNING
}

// admit lets a call in and counts it, in RUNNING.
func (l *lifecycle) admit(c *call) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.state != corev1.State_STATE_RUNNING {
		return notRunning(l.state)
	}
	l.calls.begin(c)
	return nil
}

// start acquires what the worker needs, or joins whoever does. It tells each step, and returns the
// last one: RUNNING or FAILED. Whoever leaves stops nothing.
func (l *lifecycle) start(
	ctx context.Context, tell func(*corev1.StartResponse) error,
) (*corev1.StartResponse, error) {
	l.mu.Lock()
	for l.stopping != nil {
		stopping := l.stopping
		l.mu.Unlock()
		select {
		case <-stopping:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		l.mu.Lock()
	}
	if l.state == corev1.State_STATE_DRAINING {
		l.mu.Unlock()
		return nil, status.Error(
			codes.FailedPrecondition, "the worker is DRAINING, and starts nothing more")
	}
	r := l.run
	if r == nil {
		r = &run{
			progress: &corev1.StartResponse{State: corev1.State_STATE_STARTING},
			leave:    make(chan struct{}),
			ended:    make(chan struct{}),
		}
		l.run = r
		l.set(corev1.State_STATE_STARTING, "")
		starting, abandon := context.WithCancelCause(asUnit(context.Background(), l.unit))
		r.abandon = abandon
		go l.live(starting, r)
	}
	var told *corev1.StartResponse
	for r.outcome == nil {
		progress, change := r.progress, l.change
		l.mu.Unlock()
		if told != progress {
			told = progress
			if err := tell(progress); err != nil {
				return nil, err
			}
		} else {
			select {
			case <-change:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	return r.outcome, nil
}

// live acquires and releases, both in this goroutine.
func (l *lifecycle) live(ctx context.Context, r *run) {
	defer r.abandon(nil)
	defer close(r.ended)
	began := time.Now()
	err := guarded(func() error { return l.acquire(ctx, l.reporter(r)) })
	if !l.acquired(r, err) {
		return
	}
	slog.Info(fmt.Sprintf("running after %.3f s", time.Since(began).Seconds()))
	<-r.leave
	releasing := context.Background()
	if state, _, _ := l.now(); state == corev1.State_STATE_DRAINING {
		bounded, cancel := context.WithTimeout(releasing, leaveTimeout)
		defer cancel()
		releasing = bounded
	}
	if err := guarded(func() error { return l.release(releasing) }); err != nil {
		slog.Error("the stop failed: " + err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.run = nil
}

// acquired notes how a start has ended; whether there is something to release.
func (l *lifecycle) acquired(r *run, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.isLeaving || l.state == corev1.State_STATE_DRAINING:
		r.outcome = failed(errStopped.Error())
	case err != nil:
		r.outcome = failed(sendable(err.Error()))
		l.set(corev1.State_STATE_FAILED, r.outcome.Reason)
		slog.Error("the start failed: " + err.Error())
	default:
		r.outcome = &corev1.StartResponse{State: corev1.State_STATE_RUNNING, Fraction: 1}
		l.set(corev1.State_STATE_RUNNING, "")
	}
	if err != nil {
		// At the same moment: whoever reads FAILED may start again.
		l.run = nil
	}
	l.ring()
	return err == nil
}

// reporter is what a start calls to say how far it is.
func (l *lifecycle) reporter(r *run) Progress {
	return func(fraction float64, text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r.progress = &corev1.StartResponse{
			State:    corev1.State_STATE_STARTING,
			Fraction: min(1, max(0, fraction)),
			Text:     sendable(text),
		}
		l.ring()
	}
}

// stop releases what the worker holds once the calls in flight have ended; the process stays.
func (l *lifecycle) stop(ctx context.Context) (corev1.State, error) {
	l.mu.Lock()
	if l.state == corev1.State_STATE_DRAINING {
		l.mu.Unlock()
		return corev1.State_STATE_DRAINING, nil
	}
	if l.stopping == nil {
		l.stopping = make(chan struct{})
		// Whoever asked may leave; what has begun goes on.
		go l.stopNow()
	}
	stopping := l.stopping
	l.mu.Unlock()
	select {
	case <-stopping:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if state, _, _ := l.now(); state == corev1.State_STATE_DRAINING {
		return state, nil
	}
	return corev1.State_STATE_STOPPED, nil
}

func (l *lifecycle) stopNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.run; r != nil {
		if l.state == corev1.State_STATE_RUNNING {
			l.set(corev1.State_STATE_STOPPING, "")
			l.unlocked(l.calls.ended())
		} else {
			l.set(corev1.State_STATE_STOPPING, "")
		}
		r.askToLeave()
		l.unlocked(r.ended)
	}
	l.set(corev1.State_STATE_STOPPED, "")
	close(l.stopping)
	l.stopping = nil
}

// unlocked waits for something without the lock that the caller holds.
func (l *lifecycle) unlocked(ended <-chan struct{}) {
	l.mu.Unlock()
	<-ended
	l.mu.Lock()
}

// askToLeave ends a run, and abandons its start. The caller holds the lock.
func (r *run) askToLeave() {
	if r.isLeaving {
		return
	}
	r.isLeaving = true
	close(r.leave)
	if r.outcome == nil {
		r.abandon(errStopped)
	}
}

// drain refuses new calls from now on, for good.
func (l *lifecycle) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(corev1.State_STATE_DRAINING, "")
}

// finish releases what the worker holds, within a bound, on the way out.
func (l *lifecycle) finish(timeout time.Duration) {
	l.mu.Lock()
	r := l.run
	if r != nil {
		r.askToLeave()
	}
	l.mu.Unlock()
	if r == nil {
		return
	}
	select {
	case <-r.ended:
	case <-time.After(timeout):
		slog.Error(fmt.Sprintf("the stop did not end within %s; the process ends anyway", timeout))
	}
}

// set changes the state, unless the worker is on its way out. The caller holds the lock.
func (l *lifecycle) set(state corev1.State, reason string) {
	if l.state != corev1.State_STATE_DRAINING {
		l.state, l.reason = state, reason
		l.ring()
	}
}

// ring wakes those who wait for a change. The caller holds the lock.
func (l *lifecycle) ring() {
	close(l.change)
	l.change = make(chan struct{})
}

func failed(reason string) *corev1.StartResponse {
	return &corev1.StartResponse{State: corev1.State_STATE_FAILED, Reason: reason}
}

// guarded calls a function; what it panics with becomes its error, and the log has the stack.
func guarded(f func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			slog.Error(fmt.Sprintf("panic: %v", panicked), stackKey, string(debug.Stack()))
			err = fmt.Errorf("panic: %v", panicked)
		}
	}()
	return f()
}

// name is a state as people write it: RUNNING.
func name(state corev1.State) string {
	return strings.TrimPrefix(state.String(), "STATE_")
}
