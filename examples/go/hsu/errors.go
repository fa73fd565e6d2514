package hsu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

const (
	// errorDomain is the domain of every google.rpc.ErrorInfo of the contract.
	errorDomain = "hsu"
	// dispatchedKey is the trailer that says whether a handler may have seen the call.
	dispatchedKey = "hsu-dispatched"
	// maxMessage and maxDetails, in bytes: clients drop calls whose trailers are over 8 KiB.
	maxMessage = 2 << 10
	maxDetails = 4 << 10
)

// A refusal ends a call before any of the program's own code has seen it.
type refusal struct{ *status.Status }

func (r refusal) Error() string { return r.Message() }

func refuse(code codes.Code, reason, message string) error {
	return refusal{withReason(code, reason, message)}
}

func withReason(code codes.Code, reason, message string) *status.Status {
	plain := status.New(code, message)
	if reason == "" {
		return plain
	}
	info := &errdetails.ErrorInfo{Reason: reason, Domain: errorDomain}
	detailed, err := plain.WithDetails(protoadapt.MessageV1Of(info))
	if err != nil {
		return plain
	}
	return detailed
}

func notRunning(state corev1.State) error {
	reason := "NOT_RUNNING"
	if state == corev1.State_STATE_DRAINING {
		reason = "DRAINING"
	}
	return refuse(codes.Unavailable, reason,
		fmt.Sprintf("the worker is %s, and answers calls in RUNNING only", name(state)))
}

// A panicked is what a handler panicked with.
type panicked struct {
	value any
	stack string
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// failure is what the caller reads when a call fails; what only the log does is logged.
func failure(ctx context.Context, c *call, path string, err error) error {
	var refused refusal
	if errors.As(err, &refused) {
		grpc.SetTrailer(ctx, metadata.Pairs(dispatchedKey, "no"))
		return refused.Err()
	}
	grpc.SetTrailer(ctx, metadata.Pairs(dispatchedKey, "yes"))
	if c.wasCutOff() || errors.Is(err, errCutOff) {
		return withReason(codes.Unavailable, "CUT_OFF", errCutOff.Error()).Err()
	}
	if found, ok := status.FromError(err); ok {
		// Also when it comes from a call that the handler made.
		return fitting(found).Err()
	}
	if c.ctx.Err() != nil && errors.Is(err, c.ctx.Err()) {
		return status.FromContextError(c.ctx.Err()).Err()
	}
	attributes := []any{"method", path, "error", err.Error()}
	if p, ok := err.(panicked); ok {
		attributes = append(attributes, stackKey, p.stack)
	}
	slog.Error("internal error "+c.id, attributes...)
	return status.Error(codes.Internal, "internal error "+c.id)
}

// recovered calls a handler; what it panics with is its error.
func recovered(handler func() (any, error)) (response any, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicked{value, string(debug.Stack())}
		}
	}()
	return handler()
}

// fitting is a status whose message is cut, and whose details are left out, where they don't fit
// into the trailers: both are better than another code.
func fitting(found *status.Status) *status.Status {
	message := proto.CloneOf(found.Proto())
	message.Message = sendable(message.Message)
	for len(message.Details) > 0 && proto.Size(message) > maxDetails {
		message.Details = message.Details[:len(message.Details)-1]
	}
	return status.FromProto(message)
}

// sendable is as much of a message as the trailers take; what is not printable ASCII takes three
// bytes there for each of its own.
func sendable(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	room := maxMessage
	for at, char := range message {
		if char < ' ' || char > '~' || char == '%' {
			room -= 3 * utf8.RuneLen(char)
		} else {
			room--
		}
		if room < 0 {
			return message[:at] + "..."
		}
	}
	return message
}
