// Command whole_worker can do all that the kit asks for: its calls last as many seconds as they ask
// for sentences, and variables make its start and its end slow or fail.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	av1 "example.com/hsu/gen/av1"
	bv1 "example.com/hsu/gen/bv1"
	"example.com/hsu/hsu"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type whole struct {
	av1.UnimplementedInterfaceAServer
	bv1.UnimplementedInterfaceBServer
	child *exec.Cmd
}

func (*whole) Summarize(
	ctx context.Context, request *av1.SummarizeRequest,
) (*av1.SummarizeResponse, error) {
	if request.Text == "" {
		return nil, status.Error(codes.InvalidArgument, "text is empty")
	}
	if err := sleep(ctx, time.Duration(request.Sentences)*time.Second); err != nil {
		return nil, err
	}
	return &av1.SummarizeResponse{Summary: request.Text}, nil
}

func (*whole) StreamSummary(
	request *av1.SummarizeRequest, stream grpc.ServerStreamingServer[av1.SummaryChunk],
) error {
	if err := sleep(stream.Context(), time.Duration(request.Sentences)*time.Second); err != nil {
		return err
	}
	for word := range strings.FieldsSeq(request.Text) {
		if err := stream.Send(&av1.SummaryChunk{Text: word}); err != nil {
			return err
		}
	}
	return nil
}

// Ingest is there for its stream of requests; what it reads is kept nowhere.
func (*whole) Ingest(
	stream grpc.ClientStreamingServer[bv1.IngestRequest, bv1.IngestResponse],
) error {
	answer := &bv1.IngestResponse{}
	for {
		switch _, err := stream.Recv(); {
		case err == io.EOF:
			return stream.SendAndClose(answer)
		case err != nil:
			return err
		}
		answer.Added++
	}
}

func (*whole) Search(
	*bv1.SearchRequest, grpc.ServerStreamingServer[bv1.SearchResponse],
) error {
	return nil
}

func (*whole) GetStats(
	context.Context, *bv1.GetStatsRequest,
) (*bv1.GetStatsResponse, error) {
	return &bv1.GetStatsResponse{}, nil
}

func (w *whole) start(ctx context.Context, progress hsu.Progress) error {
	for step := 0; isAsked("SLOW_START") && step < 30; step++ {
		progress(float64(step)/30, fmt.Sprintf("step %d", step))
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if isAsked("FAILING_START") {
		return errors.New("there is no model")
	}
	if isAsked("FLOOD") {
		go flood()
	}
	// So much that the log, which keeps 1 MiB, drops a record within the starts of a check.
	slog.Info("acquired " + strings.Repeat("x", 60<<10))
	w.child = exec.Command("sleep", "60")
	return w.child.Start()
}

func (w *whole) stop(context.Context) error {
	w.child.Process.Kill()
	w.child.Wait()
	if isAsked("STUCK_RELEASE") {
		select {}
	}
	return nil
}

func flood() {
	lines := strings.Repeat(strings.Repeat("x", 80)+"\n", 810)
	for written := 0; written < 50<<20; written += len(lines) {
		os.Stdout.WriteString(lines)
	}
}

func isAsked(name string) bool { return os.Getenv(name) != "" }

func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func main() {
	w := &whole{}
	err := hsu.Serve(context.Background(), hsu.Worker{
		Name:    "whole",
		Version: "1",
		Services: func(r grpc.ServiceRegistrar) {
			av1.RegisterInterfaceAServer(r, w)
			bv1.RegisterInterfaceBServer(r, w)
		},
		Start: w.start,
		Stop:  w.stop,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
