package hsu

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
)

const (
	// callIDKey is the metadata that names a call, and those that its handler makes.
	callIDKey = "hsu-call-id"
	// chainKey is the metadata that names the units which a call has come through.
	chainKey = "hsu-call-chain"
)

var callIDPattern = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// errCutOff is why the context of a call ends that took longer than the grace.
var errCutOff = errors.New("the worker is leaving, and the call took longer than its grace")

type callKey struct{}

// asUnit makes calls with a context those of a unit, where no call is handled: they start a chain.
func asUnit(ctx context.Context, unit string) context.Context {
	return context.WithValue(ctx, callKey{}, &call{unit: unit})
}

// A call is one that has been let in and whose handler has not ended.
type call struct {
	id, path string
	// sent is its metadata.
	sent metadata.MD
	// unit is the one that handles it.
	unit   string
	ctx    context.Context
	cancel context.CancelCauseFunc
	began  time.Time
	// cut is closed when the worker ends the call by itself.
	cut chan struct{}
	// givenUp is when somebody first noticed that nobody waits for the answer.
	givenUp time.Time
}

// CallID is the id of the call that a handler's context belongs to, in hex; empty outside of one.
// The log has it, and calls on connections that [Dial] made carry it on.
func CallID(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.id
	}
	return ""
}

func newCall(ctx context.Context, path, unit string) *call {
	sent, _ := metadata.FromIncomingContext(ctx)
	id := strings.Join(sent[callIDKey], ",")
	if !callIDPattern.MatchString(id) {
		id = randomHex(8)
	}
	c := &call{
		id: id, path: path, sent: sent, unit: unit, began: time.Now(), cut: make(chan struct{}),
	}
	ctx, c.cancel = context.WithCancelCause(ctx)
	c.ctx = context.WithValue(ctx, callKey{}, c)
	return c
}

// passedOn is what the calls carry on that a handler makes, by name and value.
func (c *call) passedOn() map[string]string {
	carried := map[string]string{}
	if c.id != "" {
		carried[callIDKey] = c.id
	}
	for _, name := range []string{"traceparent", "tracestate"} {
		if values := c.sent[name]; len(values) > 0 {
			carried[name] = values[0]
		}
	}
	if chain := append(slices.Clone(c.sent[chainKey]), c.unit); c.unit != "" {
		carried[chainKey] = strings.Join(chain, ",")
	}
	return carried
}

// isCycle tells whether the call has come through this unit already.
func (c *call) isCycle() bool {
	chain := strings.Split(strings.Join(c.sent[chainKey], ","), ",")
	return c.unit != "" && slices.Contains(chain, c.unit)
}

func (c *call) wasCutOff() bool { return context.Cause(c.ctx) == errCutOff }

// overdue is by how much the call has outlived its deadline, or its caller.
func (c *call) overdue(now time.Time) time.Duration {
	if c.givenUp.IsZero() {
		if c.ctx.Err() == nil {
			return 0
		}
		c.givenUp = now
		if deadline, ok := c.ctx.Deadline(); ok && deadline.Before(now) {
			c.givenUp = deadline
		}
	}
	return now.Sub(c.givenUp)
}

// calls counts calls from when they are let in until their handler has ended: one whose caller has
// left still counts.
type calls struct {
	mu           sync.Mutex
	running      map[*call]struct{}
	total        uint64
	lastActivity time.Time
	idle         chan struct{}
}

func newCalls() *calls {
	c := &calls{
		running:      map[*call]struct{}{},
		lastActivity: time.Now(),
		idle:         make(chan struct{}),
	}
	close(c.idle)
	return c
}

func (c *calls) begin(one *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.running) == 0 {
		c.idle = make(chan struct{})
	}
	c.running[one] = struct{}{}
	c.total++
	c.lastActivity = one.began
}

func (c *calls) end(one *call) {
	one.cancel(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, one)
	c.lastActivity = time.Now()
	if len(c.running) == 0 {
		close(c.idle)
	}
}

// ended is closed when no call is in flight any more.
func (c *calls) ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle
}

// cutOff ends the calls that still run, and tells how many there were.
func (c *calls) cutOff() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for one := range c.running {
		select {
		case <-one.cut:
		default:
			// In this order: when grpc ends the call, its context has its cause.
			one.cancel(errCutOff)
			close(one.cut)
			count++
		}
	}
	return count
}

// A load is how busy the worker is.
type load struct {
	inFlight                                   int
	total                                      uint64
	idle, oldest, oldestUnbounded, mostOverdue time.Duration
}

func (c *calls) load() load {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	found := load{inFlight: len(c.running), total: c.total, idle: now.Sub(c.lastActivity)}
	for one := range c.running {
		age := now.Sub(one.began)
		found.oldest = max(found.oldest, age)
		if _, bounded := one.ctx.Deadline(); !bounded {
			found.oldestUnbounded = max(found.oldestUnbounded, age)
		}
		found.mostOverdue = max(found.mostOverdue, one.overdue(now))
	}
	return found
}

func randomHex(bytes int) string {
	raw := make([]byte, bytes)
	rand.Read(raw)
	return hex.EncodeToString(raw)
}
