package hsu

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"
)

// A Progress tells the master how far a long start is: each report extends its patience. The
// fraction is between 0 and 1; 0 when it is not known.
type Progress func(fraction float64, text string)

// A Worker is what a process serves, and what that needs.
type Worker struct {
	// Name and Version are told in the handshake. The name is the program's when it is empty.
	Name, Version string

	// Services registers the worker's own services, with the functions that protoc-gen-go-grpc
	// makes. Core, health and reflection are there without it.
	Services func(grpc.ServiceRegistrar)

	// Start acquires what the services need. It runs whenever the master starts the worker, and
	// calls come only after it. Its context ends when the start is abandoned. Its error is told to
	// the master, which may try again. May be nil.
	Start func(context.Context, Progress) error

	// Stop releases it again, once no call is in flight. On the way out its context has a deadline,
	// after which the process ends anyway. May be nil.
	Stop func(context.Context) error

	// Limits are what the worker accepts at the most.
	Limits Limits

	// LogLevel is the lowest level of slog records that are kept. slog.LevelInfo when it is nil.
	LogLevel slog.Leveler

	// Listen is where to listen when no master has launched the process; a master says it itself.
	// "tcp:127.0.0.1:0", any free port, when it is empty. Only this machine may reach it.
	Listen string

	// Token is what callers have to present when no master has launched the process. Without one,
	// on TCP, nobody can start or stop the worker, or read its log.
	Token string

	// Options are for grpc's server, such as interceptors.
	Options []grpc.ServerOption
}
