package hsu

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	av1 "example.com/hsu/gen/av1"
	bv1 "example.com/hsu/gen/bv1"
	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// patience is the longest wait for something that takes a fraction of a second.
const patience = 20 * time.Second

// A service answers calls of A and B with what the test gives it.
type service struct {
	av1.UnimplementedInterfaceAServer
	bv1.UnimplementedInterfaceBServer
	summarize func(context.Context, *av1.SummarizeRequest) (*av1.SummarizeResponse, error)
	ingest    func(grpc.ClientStreamingServer[bv1.IngestRequest, bv1.IngestResponse]) error
	search    func(*bv1.SearchRequest, grpc.ServerStreamingServer[bv1.SearchResponse]) error
}

func (s *service) Summarize(
	ctx context.Context, request *av1.SummarizeRequest,
) (*av1.SummarizeResponse, error) {
	if s.summarize == nil {
		return &av1.SummarizeResponse{Summary: request.Text}, nil
	}
	return s.summarize(ctx, request)
}

func (s *service) Ingest(stream grpc.ClientStreamingServer[bv1.IngestRequest, bv1.IngestResponse]) error {
	return s.ingest(stream)
}

func (s *service) Search(
	request *bv1.SearchRequest, stream grpc.ServerStreamingServer[bv1.SearchResponse],
) error {
	return s.search(request, stream)
}

func (s *service) register(r grpc.ServiceRegistrar) {
	av1.RegisterInterfaceAServer(r, s)
	bv1.RegisterInterfaceBServer(r, s)
}

// A served is a worker in this process, over a true socket, as a master sees it.
type served struct {
	t     *testing.T
	at    Gateway
	conn  *grpc.ClientConn
	core  corev1.CoreClient
	a     av1.InterfaceAClient
	b     bv1.InterfaceBClient
	ended chan error
}

func context20(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// serve launches a worker; it has left when the test has ended.
func serve(t *testing.T, w Worker) *served {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	folder, err := os.MkdirTemp("", "hsu-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	l := &launch{
		instance: testInstance, unit: "unit", token: testToken, announce: write,
		listen: address{"unix", folder + "/worker.sock"},
	}
	s := &served{t: t, ended: make(chan error, 1)}
	go func() { s.ended <- serveLaunched(context.Background(), w, l, claimTimeout) }()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatalf("no announce line: %v", <-s.ended)
	}
	if want := fmt.Sprintf("HSU 1 %s %s\n", testInstance, l.listen); line != want {
		t.Fatalf("%q, want %q", line, want)
	}
	s.connect(Gateway{l.listen.String(), testToken})
	t.Cleanup(func() { s.leave() })
	return s
}

// connect makes the clients of a worker that answers.
func (s *served) connect(at Gateway) {
	s.at = at
	s.conn = s.dial(at)
	s.core = corev1.NewCoreClient(s.conn)
	s.a, s.b = av1.NewInterfaceAClient(s.conn), bv1.NewInterfaceBClient(s.conn)
}

func (s *served) dial(at Gateway) *grpc.ClientConn {
	s.t.Helper()
	conn, err := Dial(at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// start claims and starts the worker.
func (s *served) start() *served {
	s.t.Helper()
	ctx := context20(s.t)
	if _, err := s.core.Handshake(ctx, &corev1.HandshakeRequest{ContractVersion: 1}); err != nil {
		s.t.Fatal(err)
	}
	stream, err := s.core.Start(ctx, &corev1.StartRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	var last *corev1.StartResponse
	for step, err := stream.Recv(); err == nil; step, err = stream.Recv() {
		last = step
	}
	if last.GetState() != corev1.State_STATE_RUNNING {
		s.t.Fatalf("it ends with %v", last)
	}
	return s
}

// leave shuts the worker down, and gives what Serve returns; once.
func (s *served) leave() {
	select {
	case err := <-s.ended:
		s.ended <- err
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.core.Shutdown(ctx, &corev1.ShutdownRequest{})
	s.hasLeft()
}

func (s *served) hasLeft() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		s.ended <- nil
		if err != nil {
			s.t.Errorf("Serve returns %v", err)
		}
	case <-time.After(patience):
		s.t.Error("it has not left")
	}
}

// inFlight waits until so many calls are in flight.
func (s *served) inFlight(count uint32) {
	s.t.Helper()
	ctx := context20(s.t)
	for {
		answer, err := s.core.Ping(ctx, &corev1.PingRequest{})
		if err != nil {
			s.t.Fatal(err)
		}
		if answer.CallsInFlight == count {
			return
		}
	}
}

// told is what a failed call tells: code, message, reason and dispatch.
func told(err error, dispatched []string) string {
	found := status.Convert(err)
	reason := "-"
	for _, detail := range found.Details() {
		if info, ok := detail.(interface{ GetReason() string }); ok {
			reason = info.GetReason()
		}
	}
	return fmt.Sprintf("%s %v %s: %s", found.Code(), dispatched, reason, found.Message())
}
