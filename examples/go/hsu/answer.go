package hsu

import (
	"errors"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

// maxHeaderBytes is where grpc itself refuses metadata, without a word.
const maxHeaderBytes = 1 << 20

// An answering is a worker that answers: its services, with Core, health and reflection beside them.
type answering struct {
	address   address
	server    *grpc.Server
	lifecycle *lifecycle
	departure *departure
	ring      *ring
	handler   *ringHandler
	// claimed is closed by the first handshake.
	claimed chan struct{}
	// users is where calls of the worker's own services come in, own those of Core and health;
	// streams of reflection stay open for as long as a client likes.
	users, own, reflection *entry
}

// answer serves at an address. The worker is STOPPED at first.
func answer(w Worker, at address, instance, unit, token string) (*answering, error) {
	if w.Services == nil {
		return nil, errors.New("Worker.Services is nil: a worker serves at least one interface")
	}
	w.Limits = w.Limits.withDefaults()
	if w.Name == "" {
		w.Name = filepath.Base(os.Args[0])
	}
	if w.LogLevel == nil {
		w.LogLevel = slog.LevelInfo
	}
	// The log goes out in pieces; a limit of the services is none of it.
	own := w.Limits
	own.MessageBytes = math.MaxInt32
	a := &answering{
		departure: newDeparture(),
		ring:      newRing(w.Limits.LogLineBytes),
		claimed:   make(chan struct{}),
		users:     &entry{token: token, calls: newCalls(), limits: w.Limits, unit: unit},
		own:       &entry{token: token, calls: newCalls(), limits: own},
	}
	a.handler = &ringHandler{ring: a.ring, level: w.LogLevel, logger: w.Name}
	a.lifecycle = newLifecycle(w, unit, a.users.calls)
	a.users.admit = a.lifecycle.admit
	a.users.slots = make(chan struct{}, w.Limits.ConcurrentCalls)
	a.reflection = &entry{token: token, calls: newCalls(), limits: own}
	a.server = grpc.NewServer(append(a.options(w.Limits), w.Options...)...)

	w.Services(registrar{a.server, a.users})
	slices.Sort(a.users.names)
	interfaces, err := describe(a.users.names)
	if err != nil {
		return nil, err
	}
	if len(interfaces) == 0 {
		return nil, errors.New("Worker.Services registers nothing: a worker serves at least one interface")
	}
	a.registerOwn(&core{
		worker: w, instance: instance, interfaces: interfaces, began: time.Now(),
		entry: a.users, lifecycle: a.lifecycle, ring: a.ring, departure: a.departure,
		claimed:   sync.OnceFunc(func() { close(a.claimed) }),
		openToAll: token == "" && at.network == "tcp",
	})
	var listener net.Listener
	if listener, a.address, err = at.listen(); err != nil {
		return nil, err
	}
	go a.server.Serve(listener)
	return a, nil
}

func (a *answering) options(limits Limits) []grpc.ServerOption {
	served := func() []string {
		return append([]string{corev1.Core_ServiceDesc.ServiceName}, a.users.names...)
	}
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(limits.MessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.UnknownServiceHandler(a.own.unknown(served)),
		// The contract's 10 s, and room for timers that are not exact; grpc's default ends connections
		// whose client asks more often than every five minutes whether they are there.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
	}
}

func (a *answering) registerOwn(c *core) {
	corev1.RegisterCoreServer(registrar{a.server, a.own}, c)
	told := reflection.ServerOptions{Services: a.server}
	reflecting := registrar{a.server, a.reflection}
	reflectionv1.RegisterServerReflectionServer(reflecting, reflection.NewServerV1(told))
	reflectionv1alpha.RegisterServerReflectionServer(reflecting, reflection.NewServer(told))
	// Nobody needs a token for it.
	open := &entry{calls: a.own.calls, limits: a.own.limits}
	healthpb.RegisterHealthServer(registrar{a.server, open}, &health{
		lifecycle: a.lifecycle, departure: a.departure, names: append([]string{""}, a.users.names...),
	})
}
