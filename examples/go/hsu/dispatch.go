package hsu

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// An entry is what the calls of some services go through before anything of them is read: token,
// state, count and room.
//
// It wraps the handlers, and is no interceptor of grpc's: those see a unary call only when its body
// has been read.
type entry struct {
	// token is what every call has to present; empty: nothing.
	token string
	// admit lets a call in and counts it; nil: it is let in, and counted.
	admit  func(*call) error
	calls  *calls
	limits Limits
	// slots is the room of calls that run; nil: no bound.
	slots chan struct{}
	// unit is the one that the worker stands for; empty: none.
	unit string
	// names of the services that came in here.
	names []string
}

// registrar takes services, as generated code registers them, and puts them behind an entry.
type registrar struct {
	server *grpc.Server
	entry  *entry
}

func (r registrar) RegisterService(desc *grpc.ServiceDesc, service any) {
	r.entry.names = append(r.entry.names, desc.ServiceName)
	wrapped := *desc
	wrapped.Methods = slices.Clone(desc.Methods)
	for i, method := range wrapped.Methods {
		path := "/" + desc.ServiceName + "/" + method.MethodName
		wrapped.Methods[i].Handler = r.entry.unary(path, method.Handler)
	}
	wrapped.Streams = slices.Clone(desc.Streams)
	for i, stream := range wrapped.Streams {
		path := "/" + desc.ServiceName + "/" + stream.StreamName
		wrapped.Streams[i].Handler = r.entry.stream(path, stream)
	}
	r.server.RegisterService(&wrapped, service)
}

func (e *entry) unary(path string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(service any, ctx context.Context, decode func(any) error,
		interceptor grpc.UnaryServerInterceptor) (any, error) {
		return e.handle(ctx, path, func(c *call) (any, error) {
			response, err := handler(service, c.ctx, func(message any) error {
				return receive(decode, message, path)
			}, interceptor)
			if err != nil {
				return nil, err
			}
			return response, e.checkSize(path, response)
		})
	}
}

func (e *entry) stream(path string, desc grpc.StreamDesc) grpc.StreamHandler {
	return func(service any, stream grpc.ServerStream) error {
		_, err := e.handle(stream.Context(), path, func(c *call) (any, error) {
			return nil, desc.Handler(service, &servedStream{
				ServerStream: stream, call: c, entry: e, isClientStream: desc.ClientStreams,
			})
		})
		return err
	}
}

// handle lets a call in, and runs its handler.
func (e *entry) handle(
	ctx context.Context, path string, handler func(*call) (any, error),
) (any, error) {
	c := newCall(ctx, path, e.unit)
	err := e.authenticate(c.sent)
	switch {
	case err != nil:
	case e.admit != nil:
		err = e.admit(c)
	default:
		e.calls.begin(c)
	}
	if err != nil {
		c.cancel(nil)
		return nil, failure(ctx, c, path, err)
	}
	response, err := e.run(c, func() (any, error) { return handler(c) })
	if err != nil {
		return nil, failure(ctx, c, path, err)
	}
	return response, nil
}

// run runs the handler of a call that has been let in, in a goroutine of its own: a call can then be
// cut off that doesn't look at its context.
func (e *entry) run(c *call, handler func() (any, error)) (any, error) {
	type result struct {
		response any
		err      error
	}
	done := make(chan result, 1)
	go func() {
		response, err := any(nil), e.room(c)
		if err == nil {
			response, err = recovered(handler)
			e.leaveRoom()
		}
		done <- result{response, err}
		e.calls.end(c)
	}()
	select {
	case found := <-done:
		return found.response, found.err
	case <-c.cut:
		return nil, errCutOff
	}
}

func (e *entry) room(c *call) error {
	if e.slots == nil {
		return nil
	}
	select {
	case e.slots <- struct{}{}:
		return nil
	default:
	}
	if c.isCycle() {
		return refuse(codes.FailedPrecondition, "CALL_CYCLE", fmt.Sprintf(
			"the call came back to %s by %s, and would wait for the room that it may be taking itself",
			e.unit, strings.Join(c.sent[chainKey], ",")))
	}
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (e *entry) leaveRoom() {
	if e.slots != nil {
		<-e.slots
	}
}

// authenticate lets nobody in without the token, and with too much to say.
func (e *entry) authenticate(sent metadata.MD) error {
	if e.token != "" {
		given := sent["authorization"]
		expected := "Bearer " + e.token
		if len(given) != 1 || subtle.ConstantTimeCompare([]byte(given[0]), []byte(expected)) != 1 {
			return refuse(codes.Unauthenticated, "",
				"the token is missing or wrong: send `authorization: Bearer <token>`")
		}
	}
	size := 0
	for key, values := range sent {
		for _, value := range values {
			size += len(key) + len(value) + 32
		}
	}
	if size > e.limits.MetadataBytes {
		return refuse(codes.ResourceExhausted, "", fmt.Sprintf(
			"the metadata has %d bytes, %d are possible", size, e.limits.MetadataBytes))
	}
	return nil
}

func (e *entry) checkSize(path string, response any) error {
	message, ok := response.(proto.Message)
	if !ok {
		return nil
	}
	if size := proto.Size(message); size > e.limits.MessageBytes {
		return withReason(codes.ResourceExhausted, "RESPONSE_TOO_LARGE", fmt.Sprintf(
			"the response of %s has %d bytes, %d are possible: send less, or raise "+
				"Limits.MessageBytes", path, size, e.limits.MessageBytes)).Err()
	}
	return nil
}

// unknown answers calls of methods that nobody has registered. Whoever has no token learns nothing
// of what is served.
func (e *entry) unknown(served func() []string) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		path, _ := grpc.MethodFromServerStream(stream)
		_, err := e.handle(stream.Context(), path, func(*call) (any, error) {
			return nil, refuse(codes.Unimplemented, "", fmt.Sprintf(
				"%s is not served here; served are %s", path, strings.Join(served(), ", ")))
		})
		return err
	}
}

// A servedStream is a stream as its handler sees it.
type servedStream struct {
	grpc.ServerStream
	call           *call
	entry          *entry
	isClientStream bool
}

func (s *servedStream) Context() context.Context { return s.call.ctx }

func (s *servedStream) SendMsg(message any) error {
	if s.call.wasCutOff() {
		return errCutOff
	}
	if err := s.entry.checkSize(s.call.path, message); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(message)
}

func (s *servedStream) RecvMsg(message any) error {
	if s.call.wasCutOff() {
		return errCutOff
	}
	err := receive(s.ServerStream.RecvMsg, message, s.call.path)
	if refused, ok := err.(refusal); ok && s.isClientStream {
		// The handler has been running: it was no refusal.
		return refused.Err()
	}
	return err
}
