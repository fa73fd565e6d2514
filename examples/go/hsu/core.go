package hsu

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
)

// core answers the master.
type core struct {
	corev1.UnimplementedCoreServer
	worker    Worker
	instance  string
	entry     *entry
	lifecycle *lifecycle
	ring      *ring
	departure *departure
	// claimed is called by each handshake.
	claimed    func()
	interfaces []*corev1.InterfaceInfo
	began      time.Time
	// openToAll: anybody can reach the worker and nobody has to present a token. Then nobody may
	// start it, stop it or read its log from outside.
	openToAll bool
}

func (c *core) Ping(_ context.Context, request *corev1.PingRequest) (*corev1.PingResponse, error) {
	// Through the room of calls, when there is some: an answer then proves that calls are answered.
	busy := false
	select {
	case c.entry.slots <- struct{}{}:
		<-c.entry.slots
	default:
		busy = true
	}
	state, _, _ := c.lifecycle.now()
	load := c.entry.calls.load()
	return &corev1.PingResponse{
		Payload:                request.Payload,
		Instance:               c.instance,
		State:                  state,
		Uptime:                 durationpb.New(time.Since(c.began)),
		Busy:                   busy,
		CallsInFlight:          uint32(load.inFlight),
		OldestCallAge:          durationpb.New(load.oldest),
		MostOverdue:            durationpb.New(load.mostOverdue),
		OldestUnboundedCallAge: durationpb.New(load.oldestUnbounded),
	}, nil
}

func (c *core) Handshake(
	context.Context, *corev1.HandshakeRequest,
) (*corev1.HandshakeResponse, error) {
	c.claimed()
	state, _, _ := c.lifecycle.now()
	return &corev1.HandshakeResponse{
		ContractVersion: contractVersion,
		Instance:        c.instance,
		Name:            c.worker.Name,
		Version:         c.worker.Version,
		Pid:             uint32(os.Getpid()),
		Language:        "go",
		Interfaces:      c.interfaces,
		Limits:          c.worker.Limits.message(),
		State:           state,
	}, nil
}

func (c *core) Start(
	_ *corev1.StartRequest, stream grpc.ServerStreamingServer[corev1.StartResponse],
) error {
	if err := c.notForAll("Start"); err != nil {
		return err
	}
	last, err := c.lifecycle.start(stream.Context(), stream.Send)
	if err != nil {
		return err
	}
	return stream.Send(last)
}

func (c *core) Stop(ctx context.Context, _ *corev1.StopRequest) (*corev1.StopResponse, error) {
	if err := c.notForAll("Stop"); err != nil {
		return nil, err
	}
	state, err := c.lifecycle.stop(ctx)
	return &corev1.StopResponse{State: state}, err
}

func (c *core) GetStatus(
	context.Context, *corev1.GetStatusRequest,
) (*corev1.GetStatusResponse, error) {
	state, reason, _ := c.lifecycle.now()
	load := c.entry.calls.load()
	return &corev1.GetStatusResponse{
		State:         state,
		Reason:        reason,
		Uptime:        durationpb.New(time.Since(c.began)),
		CallsInFlight: uint32(load.inFlight),
		CallsTotal:    load.total,
		Idle:          durationpb.New(load.idle),
		ResidentBytes: residentBytes(),
		Log:           c.ring.message(c.instance),
	}, nil
}

func (c *core) StreamLogs(
	request *corev1.StreamLogsRequest, stream grpc.ServerStreamingServer[corev1.StreamLogsResponse],
) error {
	if err := c.notForAll("StreamLogs"); err != nil {
		return err
	}
	return c.ring.stream(stream.Context(), c.instance, request, stream.Send)
}

func (c *core) Shutdown(
	ctx context.Context, request *corev1.ShutdownRequest,
) (*corev1.ShutdownResponse, error) {
	if err := c.notForAll("Shutdown"); err != nil {
		return nil, err
	}
	grace := defaultGrace
	if request.Grace != nil {
		grace = request.Grace.AsDuration()
	}
	who := "somebody"
	if from, ok := peer.FromContext(ctx); ok {
		who = from.Addr.String()
	}
	grace = c.departure.ask(grace, "Shutdown, by "+who)
	<-c.departure.began
	return &corev1.ShutdownResponse{Grace: durationpb.New(grace)}, nil
}

func (c *core) notForAll(method string) error {
	if !c.openToAll {
		return nil
	}
	return status.Error(codes.PermissionDenied, method+" is refused: this worker asks for no token "+
		"and listens on TCP; give it a token, or a Unix socket")
}

// describe tells what the services offer, by their descriptors.
func describe(names []string) ([]*corev1.InterfaceInfo, error) {
	var interfaces []*corev1.InterfaceInfo
	for _, name := range names {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		service, ok := found.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s: its .proto is not known; register what protoc-gen-go made", name)
		}
		info := &corev1.InterfaceInfo{Name: name, Fingerprint: Fingerprint(service)}
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			info.Methods = append(info.Methods, &corev1.MethodInfo{
				Name:            string(method.Name()),
				ClientStreaming: method.IsStreamingClient(),
				ServerStreaming: method.IsStreamingServer(),
				Input:           string(method.Input().FullName()),
				Output:          string(method.Output().FullName()),
			})
		}
		interfaces = append(interfaces, info)
	}
	return interfaces, nil
}

// residentBytes is the memory of this process; 0 where the system doesn't tell it in a file.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}
