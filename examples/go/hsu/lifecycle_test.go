package hsu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// started starts a lifecycle, and gives the steps that it told and the last one.
func started(l *lifecycle) (steps []string, last *corev1.StartResponse, err error) {
	last, err = l.start(context.Background(), func(step *corev1.StartResponse) error {
		steps = append(steps, fmt.Sprintf("%s %.1f %s", name(step.State), step.Fraction, step.Text))
		return nil
	})
	return
}

func TestAStartTellsItsProgressAndEndsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLifecycle(Worker{Start: func(_ context.Context, progress Progress) error {
			time.Sleep(time.Second)
			progress(0.5, "half")
			time.Sleep(time.Second)
			return nil
		}}, "unit", newCalls())
		steps, last, err := started(l)
		if err != nil || last.State != corev1.State_STATE_RUNNING {
			t.Fatalf("%v, %v", last, err)
		}
		if got := strings.Join(steps, "|"); got != "STARTING 0.0 |STARTING 0.5 half" {
			t.Errorf("%q", got)
		}
		l.finish(time.Second)
	})
}

func TestASecondStartJoinsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := 0
		l := newLifecycle(Worker{Start: func(context.Context, Progress) error {
			count++
			time.Sleep(time.Second)
			return nil
		}}, "unit", newCalls())
		ends := make(chan corev1.State)
		for range 2 {
			go func() { _, last, _ := started(l); ends <- last.GetState() }()
		}
		if one, other := <-ends, <-ends; one != other || one != corev1.State_STATE_RUNNING || count != 1 {
			t.Errorf("%v, %v, %d starts", one, other, count)
		}
		l.finish(time.Second)
	})
}

func TestAStartThatFailsCanBeTriedAgain(t *testing.T) {
	outcomes := []func(){
		func() { panic("no luck") },
		func() {},
	}
	at := 0
	l := newLifecycle(Worker{Start: func(context.Context, Progress) error {
		at++
		outcomes[at-1]()
		return nil
	}}, "unit", newCalls())
	_, last, _ := started(l)
	if state, reason, _ := l.now(); state != corev1.State_STATE_FAILED || reason != "panic: no luck" ||
		last.Reason != reason {
		t.Errorf("%v %q, %v", state, reason, last)
	}
	if _, last, _ := started(l); last.State != corev1.State_STATE_RUNNING {
		t.Errorf("%v", last)
	}
}

func TestAStopWaitsForTheCallsInFlightAndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := false
		l := newLifecycle(Worker{Stop: func(context.Context) error { released = true; return nil }}, "unit", newCalls())
		started(l)
		one, refused := newCall(context.Background(), "/a/B", ""), newCall(context.Background(), "/a/B", "")
		if err := l.admit(one); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan corev1.State)
		go func() { state, _ := l.stop(context.Background()); stopped <- state }()
		synctest.Wait()
		if err := l.admit(refused); err == nil || !strings.Contains(err.Error(), "the worker is STOPPING") {
			t.Errorf("a call while it stops: %v", err)
		}
		if released {
			t.Error("released with a call in flight")
		}
		l.calls.end(one)
		if state := <-stopped; state != corev1.State_STATE_STOPPED || !released {
			t.Errorf("%v, released %v", state, released)
		}
	})
}

func TestAStopAbandonsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		l := newLifecycle(Worker{Start: func(ctx context.Context, _ Progress) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}}, "unit", newCalls())
		ended := make(chan *corev1.StartResponse)
		go func() { _, last, _ := started(l); ended <- last }()
		synctest.Wait()
		state, err := l.stop(context.Background())
		last := <-ended
		if err != nil || state != corev1.State_STATE_STOPPED || last.State != corev1.State_STATE_FAILED {
			t.Errorf("%v, %v, %v", state, err, last)
		}
		if !errors.Is(cause, errStopped) || last.Reason != errStopped.Error() {
			t.Errorf("%v, %v", cause, last)
		}
	})
}

func TestWhatAnAbandonedStartAcquiresIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := 0
		l := newLifecycle(Worker{
			Start: func(ctx context.Context, _ Progress) error { time.Sleep(time.Minute); return nil },
			Stop:  func(context.Context) error { released++; return nil },
		}, "unit", newCalls())
		go started(l)
		synctest.Wait()
		l.stop(context.Background())
		if released != 1 {
			t.Errorf("released %d times", released)
		}
	})
}

func TestADrainingWorkerStartsNothingMore(t *testing.T) {
	l := newLifecycle(Worker{}, "unit", newCalls())
	l.drain()
	if _, _, err := started(l); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("%v", err)
	}
	if state, err := l.stop(context.Background()); err != nil || state != corev1.State_STATE_DRAINING {
		t.Errorf("%v, %v", state, err)
	}
	err := l.admit(newCall(context.Background(), "/a/B", ""))
	var refused refusal
	if !errors.As(err, &refused) || len(refused.Details()) != 1 {
		t.Errorf("%v", err)
	}
}

func TestAStopThatHangsIsBoundedOnTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var bounded bool
		l := newLifecycle(Worker{Stop: func(ctx context.Context) error {
			_, bounded = ctx.Deadline()
			<-end
			return nil
		}}, "unit", newCalls())
		started(l)
		l.drain()
		began := time.Now()
		l.finish(leaveTimeout)
		took := time.Since(began)
		synctest.Wait()
		if took != leaveTimeout || !bounded {
			t.Errorf("it took %s, bounded %v", took, bounded)
		}
		close(end)
	})
}

func TestAllThatMayHangOnTheWayOutFitsIntoTheContractsTenSeconds(t *testing.T) {
	if sum := unwindTimeout + leaveTimeout + 2*flushTimeout + stopTimeout; sum >= 10*time.Second {
		t.Errorf("%s", sum)
	}
}
