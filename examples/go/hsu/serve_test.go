package hsu

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	av1 "example.com/hsu/gen/av1"
	bv1 "example.com/hsu/gen/bv1"
	corev1 "example.com/hsu/gen/corev1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestAHandshakeSaysWhoItIsAndWhatItOffers(t *testing.T) {
	s := serve(t, Worker{Name: "a-name", Version: "1.2", Services: (&service{}).register})
	told, err := s.core.Handshake(context20(t), &corev1.HandshakeRequest{ContractVersion: 9})
	if err != nil {
		t.Fatal(err)
	}
	if told.ContractVersion != 1 || told.Instance != testInstance || told.Pid != uint32(os.Getpid()) ||
		told.Name != "a-name" || told.Version != "1.2" || told.Language != "go" ||
		told.State != corev1.State_STATE_STOPPED || told.Limits.MessageBytes != 4<<20 {
		t.Errorf("%v", told)
	}
	if len(told.Interfaces) != 2 || told.Interfaces[0].Name != "hsu.a.v1.InterfaceA" ||
		len(told.Interfaces[0].Methods) != 2 ||
		told.Interfaces[0].Fingerprint != Fingerprint(av1.File_hsu_a_proto.Services().Get(0)) {
		t.Errorf("%v", told.Interfaces)
	}
	ingest := told.Interfaces[1].Methods[0]
	if ingest.Name != "Ingest" || !ingest.ClientStreaming || ingest.ServerStreaming ||
		ingest.Input != "hsu.b.v1.IngestRequest" || ingest.Output != "hsu.b.v1.IngestResponse" {
		t.Errorf("%v", ingest)
	}
}

func TestCallsAreAnsweredInRunningOnly(t *testing.T) {
	s := serve(t, Worker{Services: (&service{}).register})
	ctx := context20(t)
	var trailer metadata.MD
	_, err := s.a.Summarize(ctx, &av1.SummarizeRequest{}, grpc.Trailer(&trailer))
	want := "Unavailable [no] NOT_RUNNING: the worker is STOPPED, and answers calls in RUNNING only"
	if got := told(err, trailer["hsu-dispatched"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s.start()
	if reply, err := s.a.Summarize(ctx, &av1.SummarizeRequest{Text: "x"}); err != nil || reply.Summary != "x" {
		t.Errorf("%v, %v", reply, err)
	}
	if stopped, err := s.core.Stop(ctx, &corev1.StopRequest{}); err != nil ||
		stopped.State != corev1.State_STATE_STOPPED {
		t.Errorf("%v, %v", stopped, err)
	}
	if _, err := s.a.Summarize(ctx, &av1.SummarizeRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	s.start()
	if _, err := s.a.Summarize(ctx, &av1.SummarizeRequest{}); err != nil {
		t.Error(err)
	}
}

func TestAStrangerLearnsNothing(t *testing.T) {
	s := serve(t, Worker{Services: (&service{}).register})
	for _, token := range []string{"", "wrong", testToken + "x"} {
		conn := s.dial(Gateway{s.at.Address, token})
		for _, method := range []string{
			"/hsu.core.v1.Core/Ping", "/hsu.a.v1.InterfaceA/Summarize", "/nobody.Knows/It",
			"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		} {
			var trailer metadata.MD
			err := conn.Invoke(context20(t), method, &emptypb.Empty{}, &emptypb.Empty{}, grpc.Trailer(&trailer))
			want := "Unauthenticated [no] -: the token is missing or wrong: " +
				"send `authorization: Bearer <token>`"
			if got := told(err, trailer["hsu-dispatched"]); got != want {
				t.Errorf("%s: %s, want %s", method, got, want)
			}
		}
		if _, err := healthpb.NewHealthClient(conn).Check(
			context20(t), &healthpb.HealthCheckRequest{}); err != nil {
			t.Errorf("health: %v", err)
		}
	}
	twice := metadata.AppendToOutgoingContext(context20(t), "authorization", "Bearer "+testToken)
	if _, err := s.core.Ping(twice, &corev1.PingRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the token twice: %v", err)
	}
}

func TestWhatFailsTellsWhyAndWhetherItWasDispatched(t *testing.T) {
	big := strings.Repeat("x", 2000)
	handlers := map[string]func(context.Context) (*av1.SummarizeResponse, error){
		"status": func(context.Context) (*av1.SummarizeResponse, error) {
			return nil, status.Error(codes.NotFound, "no such text; 100 % ü")
		},
		"error": func(context.Context) (*av1.SummarizeResponse, error) {
			return nil, errors.New("the password is 1234")
		},
		"panic": func(context.Context) (*av1.SummarizeResponse, error) { panic("the password is 1234") },
		"large": func(context.Context) (*av1.SummarizeResponse, error) {
			return &av1.SummarizeResponse{Summary: big}, nil
		},
	}
	s := serve(t, Worker{
		Limits: Limits{MessageBytes: 1000},
		Services: (&service{summarize: func(
			ctx context.Context, request *av1.SummarizeRequest,
		) (*av1.SummarizeResponse, error) {
			return handlers[request.Text](ctx)
		}}).register,
	}).start()
	id := "0123456789abcdef"
	for text, want := range map[string]string{
		"status": "NotFound [yes] -: no such text; 100 % ü",
		"error":  "Internal [yes] -: internal error " + id,
		"panic":  "Internal [yes] -: internal error " + id,
		"large": "ResourceExhausted [yes] RESPONSE_TOO_LARGE: the response of " +
			"/hsu.a.v1.InterfaceA/Summarize has 2003 bytes, 1000 are possible: send less, or raise " +
			"Limits.MessageBytes",
	} {
		ctx := metadata.AppendToOutgoingContext(context20(t), "hsu-call-id", id)
		var trailer metadata.MD
		_, err := s.a.Summarize(ctx, &av1.SummarizeRequest{Text: text}, grpc.Trailer(&trailer))
		if got := told(err, trailer["hsu-dispatched"]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	records := s.log()
	var internal int
	for _, record := range records {
		if record.Message == "internal error "+id {
			internal++
			if !strings.Contains(record.Fields["error"], "the password is 1234") {
				t.Errorf("%v", record)
			}
		}
		if strings.HasPrefix(record.Fields["error"], "panic: ") &&
			!strings.Contains(record.Exception, "serve_test.go") {
			t.Errorf("no stack: %v", record)
		}
	}
	if internal != 2 {
		t.Errorf("the log has %d of 2", internal)
	}
}

// log reads the whole log.
func (s *served) log() []*corev1.LogRecord {
	s.t.Helper()
	stream, err := s.core.StreamLogs(context20(s.t), &corev1.StreamLogsRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	var records []*corev1.LogRecord
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return records
		}
		if err != nil {
			s.t.Fatal(err)
		}
		records = append(records, message.Records...)
	}
}

func TestBytesThatAreNoRequestAreRefused(t *testing.T) {
	s := serve(t, Worker{Services: (&service{
		search: func(*bv1.SearchRequest, grpc.ServerStreamingServer[bv1.SearchResponse]) error { return nil },
		ingest: func(stream grpc.ClientStreamingServer[bv1.IngestRequest, bv1.IngestResponse]) error {
			_, err := stream.Recv()
			return err
		},
	}).register}).start()
	for path, dispatched := range map[string]string{
		"/hsu.a.v1.InterfaceA/Summarize": "no",
		"/hsu.b.v1.InterfaceB/Search":    "no",
		"/hsu.b.v1.InterfaceB/Ingest":    "yes",
		"/hsu.core.v1.Core/Ping":         "no",
	} {
		// A length-delimited field 1 that is longer than the message.
		malformed := &emptypb.Empty{}
		malformed.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.BytesType), 99))
		var trailer metadata.MD
		err := s.conn.Invoke(context20(t), path, malformed, &emptypb.Empty{}, grpc.Trailer(&trailer))
		want := "InvalidArgument [" + dispatched + "] MALFORMED_REQUEST: the request of " + path + " is malformed"
		if got := told(err, trailer["hsu-dispatched"]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTooMuchMetadataAndUnknownMethodsAreRefused(t *testing.T) {
	s := serve(t, Worker{Services: (&service{}).register}).start()
	ctx := metadata.AppendToOutgoingContext(context20(t), "much", strings.Repeat("x", 17_000))
	var trailer metadata.MD
	_, err := s.a.Summarize(ctx, &av1.SummarizeRequest{}, grpc.Trailer(&trailer))
	if status.Code(err) != codes.ResourceExhausted || trailer["hsu-dispatched"][0] != "no" {
		t.Errorf("%v, %v", err, trailer)
	}
	err = s.conn.Invoke(context20(t), "/hsu.a.v1.InterfaceA/Sumarize", &emptypb.Empty{}, &emptypb.Empty{},
		grpc.Trailer(&trailer))
	want := "Unimplemented [no] -: /hsu.a.v1.InterfaceA/Sumarize is not served here; served are " +
		"hsu.core.v1.Core, hsu.a.v1.InterfaceA, hsu.b.v1.InterfaceB"
	if got := told(err, trailer["hsu-dispatched"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestHealthFollowsTheStateAndLiveIsAlwaysServing(t *testing.T) {
	s := serve(t, Worker{Services: (&service{}).register})
	client := healthpb.NewHealthClient(s.conn)
	statuses := func() string {
		var found []string
		for _, name := range []string{"", "hsu.a.v1.InterfaceA", "live"} {
			answer, err := client.Check(context20(t), &healthpb.HealthCheckRequest{Service: name})
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, answer.Status.String())
		}
		return strings.Join(found, " ")
	}
	watch, err := client.Watch(context20(t), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v, %v", first, err)
	}
	if got := statuses(); got != "NOT_SERVING NOT_SERVING SERVING" {
		t.Error(got)
	}
	s.start()
	if got := statuses(); got != "SERVING SERVING SERVING" {
		t.Error(got)
	}
	if next, err := watch.Recv(); err != nil || next.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", next, err)
	}
	_, err = client.Check(context20(t), &healthpb.HealthCheckRequest{Service: "other"})
	if status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	all, err := client.List(context20(t), &healthpb.HealthListRequest{})
	if err != nil || len(all.Statuses) != 4 {
		t.Errorf("%v, %v", all, err)
	}
	s.leave()
	if next, err := watch.Recv(); err != nil || next.Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v, %v", next, err)
	}
	if _, err := watch.Recv(); err != io.EOF {
		t.Errorf("the watch ends with %v", err)
	}
}

func TestReflectionListsEveryServiceInBothVersions(t *testing.T) {
	s := serve(t, Worker{Services: (&service{}).register})
	v1, err := reflectionv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(context20(t))
	if err != nil {
		t.Fatal(err)
	}
	alpha, err := reflectionv1alpha.NewServerReflectionClient(s.conn).ServerReflectionInfo(context20(t))
	if err != nil {
		t.Fatal(err)
	}
	v1.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	alpha.Send(&reflectionv1alpha.ServerReflectionRequest{
		MessageRequest: &reflectionv1alpha.ServerReflectionRequest_ListServices{}})
	one, err := v1.Recv()
	if err != nil {
		t.Fatal(err)
	}
	other, err := alpha.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names, alphaNames []string
	for _, service := range one.GetListServicesResponse().Service {
		names = append(names, service.Name)
	}
	for _, service := range other.GetListServicesResponse().Service {
		alphaNames = append(alphaNames, service.Name)
	}
	want := "grpc.health.v1.Health grpc.reflection.v1.ServerReflection " +
		"grpc.reflection.v1alpha.ServerReflection hsu.a.v1.InterfaceA hsu.b.v1.InterfaceB hsu.core.v1.Core"
	if got := strings.Join(names, " "); got != want || strings.Join(alphaNames, " ") != want {
		t.Errorf("%s\n%v", got, alphaNames)
	}
	// A stream that stays open doesn't keep the worker.
	began := time.Now()
	s.leave()
	if took := time.Since(began); took > flushTimeout {
		t.Errorf("leaving took %s", took)
	}
}

func TestACallThatTakesLongerThanTheGraceIsCutOff(t *testing.T) {
	stuck, left := make(chan struct{}), make(chan error, 1)
	s := serve(t, Worker{Services: (&service{
		// It doesn't look at its context.
		summarize: func(context.Context, *av1.SummarizeRequest) (*av1.SummarizeResponse, error) {
			<-stuck
			return nil, nil
		},
		search: func(_ *bv1.SearchRequest, stream grpc.ServerStreamingServer[bv1.SearchResponse]) error {
			<-stream.Context().Done()
			left <- context.Cause(stream.Context())
			return stream.Context().Err()
		},
	}).register}).start()
	defer close(stuck)
	var trailer metadata.MD
	ended := make(chan error, 1)
	go func() {
		_, err := s.a.Summarize(context20(t), &av1.SummarizeRequest{}, grpc.Trailer(&trailer))
		ended <- err
	}()
	stream, err := s.b.Search(context20(t), &bv1.SearchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s.inFlight(2)
	answer, err := s.core.Shutdown(context20(t), &corev1.ShutdownRequest{
		Grace: durationpb.New(50 * time.Millisecond),
	})
	if err != nil || answer.Grace.AsDuration() > 50*time.Millisecond {
		t.Errorf("%v, %v", answer, err)
	}
	want := "Unavailable [yes] CUT_OFF: " + errCutOff.Error()
	if got := told(<-ended, trailer["hsu-dispatched"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	_, err = stream.Recv()
	if got := told(err, stream.Trailer()["hsu-dispatched"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if cause := <-left; !errors.Is(cause, errCutOff) {
		t.Errorf("%v", cause)
	}
	s.hasLeft()
}

func TestADrainWaitsForTheCallsInFlightAndRefusesNewOnes(t *testing.T) {
	goOn := make(chan struct{})
	released := false
	s := serve(t, Worker{
		Services: (&service{summarize: func(
			context.Context, *av1.SummarizeRequest,
		) (*av1.SummarizeResponse, error) {
			<-goOn
			return &av1.SummarizeResponse{Summary: "done"}, nil
		}}).register,
		Stop: func(context.Context) error { released = true; return nil },
	}).start()
	logs, err := s.core.StreamLogs(context20(t), &corev1.StreamLogsRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		reply, err := s.a.Summarize(context20(t), &av1.SummarizeRequest{})
		ended <- reply.GetSummary() + " " + status.Code(err).String()
	}()
	s.inFlight(1)
	if _, err := s.core.Shutdown(context20(t), &corev1.ShutdownRequest{}); err != nil {
		t.Fatal(err)
	}
	var trailer metadata.MD
	_, err = s.a.Summarize(context20(t), &av1.SummarizeRequest{}, grpc.Trailer(&trailer))
	want := "Unavailable [no] DRAINING: the worker is DRAINING, and answers calls in RUNNING only"
	if got := told(err, trailer["hsu-dispatched"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if stop, err := s.core.Stop(context20(t), &corev1.StopRequest{}); err != nil ||
		stop.State != corev1.State_STATE_DRAINING {
		t.Errorf("%v, %v", stop, err)
	}
	close(goOn)
	if got := <-ended; got != "done OK" {
		t.Error(got)
	}
	s.hasLeft()
	if !released {
		t.Error("nothing was released")
	}
	last := ""
	for {
		message, err := logs.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range message.Records {
			last = record.Message
		}
	}
	if last != "left" {
		t.Errorf("the log ends with %q", last)
	}
}

func TestAPingIsBusyWhenThereIsNoRoomAndTellsTheLoad(t *testing.T) {
	goOn := make(chan struct{})
	s := serve(t, Worker{
		Limits: Limits{ConcurrentCalls: 1},
		Services: (&service{summarize: func(
			context.Context, *av1.SummarizeRequest,
		) (*av1.SummarizeResponse, error) {
			<-goOn
			return &av1.SummarizeResponse{}, nil
		}}).register,
	}).start()
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	ended := make(chan error, 2)
	for _, ctx := range []context.Context{short, t.Context()} {
		go func() {
			_, err := s.a.Summarize(ctx, &av1.SummarizeRequest{})
			ended <- err
		}()
		s.inFlight(map[bool]uint32{true: 1, false: 2}[ctx == short])
	}
	if err := <-ended; status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	for {
		answer, err := s.core.Ping(context20(t), &corev1.PingRequest{Payload: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if !answer.Busy || string(answer.Payload) != "x" || answer.Instance != testInstance {
			t.Fatalf("%v", answer)
		}
		if answer.MostOverdue.AsDuration() > 0 && answer.OldestUnboundedCallAge.AsDuration() > 0 &&
			answer.OldestCallAge.AsDuration() > answer.OldestUnboundedCallAge.AsDuration() {
			break
		}
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.inFlight(0)
	answer, err := s.core.GetStatus(context20(t), &corev1.GetStatusRequest{})
	if err != nil || answer.CallsTotal != 2 || answer.CallsInFlight != 0 || answer.ResidentBytes < 1<<20 {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestACallThatAHandlerMakesCarriesOn(t *testing.T) {
	var s *served
	var carried metadata.MD
	s = serve(t, Worker{Services: (&service{summarize: func(
		ctx context.Context, request *av1.SummarizeRequest,
	) (*av1.SummarizeResponse, error) {
		if request.Text == "inner" {
			carried, _ = metadata.FromIncomingContext(ctx)
			return &av1.SummarizeResponse{Summary: CallID(ctx)}, nil
		}
		inner, err := s.a.Summarize(ctx, &av1.SummarizeRequest{Text: "inner"})
		return &av1.SummarizeResponse{Summary: inner.GetSummary() + " " + CallID(ctx)}, err
	}}).register}).start()
	ctx := metadata.AppendToOutgoingContext(context20(t), "hsu-call-id", "00112233445566ff",
		"traceparent", "a-trace", "hsu-call-chain", "one,two")
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{{ctx, "00112233445566ff"}, {context20(t), ""}} {
		reply, err := s.a.Summarize(c.ctx, &av1.SummarizeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		outer, inner, _ := strings.Cut(reply.Summary, " ")
		if outer != inner || len(outer) != 16 || c.want != "" && outer != c.want {
			t.Errorf("%q", reply.Summary)
		}
		trace, chain := carried["traceparent"], carried["hsu-call-chain"]
		if c.want != "" && (trace[0] != "a-trace" || chain[0] != "one,two,unit") {
			t.Errorf("%v, %v", trace, chain)
		}
		if c.want == "" && (trace != nil || chain[0] != "unit") {
			t.Errorf("%v, %v", trace, chain)
		}
	}
}

func TestACallThatAStartMakesBeginsAChain(t *testing.T) {
	carried := map[string]string{}
	serve(t, Worker{
		Services: (&service{}).register,
		Start: func(ctx context.Context, _ Progress) error {
			sent, _ := metadata.FromOutgoingContext(carrying(ctx))
			for name, values := range sent {
				carried[name] = strings.Join(values, " ")
			}
			return nil
		},
	}).start()
	if len(carried) != 1 || carried["hsu-call-chain"] != "unit" {
		t.Errorf("%v", carried)
	}
}

func TestACallThatWouldWaitForItselfIsRefused(t *testing.T) {
	var s *served
	s = serve(t, Worker{
		Limits: Limits{ConcurrentCalls: 1},
		Services: (&service{summarize: func(
			ctx context.Context, _ *av1.SummarizeRequest,
		) (*av1.SummarizeResponse, error) {
			return s.a.Summarize(ctx, &av1.SummarizeRequest{})
		}}).register,
	}).start()
	_, err := s.a.Summarize(context20(t), &av1.SummarizeRequest{})
	want := "FailedPrecondition [] CALL_CYCLE: the call came back to unit by unit, " +
		"and would wait for the room that it may be taking itself"
	if got := told(err, nil); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAWorkerThatNobodyClaimsLeaves(t *testing.T) {
	l := &launch{
		instance: testInstance, token: testToken, listen: address{"tcp", "127.0.0.1:0"},
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.announce = null
	err = serveLaunched(t.Context(), Worker{Services: (&service{}).register}, l, 10*time.Millisecond)
	if err != nil {
		t.Error(err)
	}
}

func TestAWorkerThatNobodyLaunchedStartsItself(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := address{"tcp", "127.0.0.1:0"}
	listener, at, err := at.listen()
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	running := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Worker{
			Services: (&service{}).register,
			Listen:   at.String(),
			Start:    func(context.Context, Progress) error { close(running); return nil },
		})
	}()
	<-running
	conn, err := Dial(Gateway{Address: at.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	core := corev1.NewCoreClient(conn)
	if _, err := core.Ping(context20(t), &corev1.PingRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Error(err)
	}
	// Anybody can reach it, so nobody may end it.
	if _, err := core.Shutdown(context20(t), &corev1.ShutdownRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatCanNotBeServedIsRefusedWithTheReason(t *testing.T) {
	services := (&service{}).register
	for want, w := range map[string]Worker{
		"Worker.Services is nil: a worker serves at least one interface": {},
		"Worker.Services registers nothing: a worker serves at least one interface": {
			Services: func(grpc.ServiceRegistrar) {},
		},
		"the start failed: no luck": {
			Services: services,
			Start:    func(context.Context, Progress) error { return errors.New("no luck") },
		},
		"address tcp:0.0.0.0:0: others in the network could read and make calls; listen at tcp:127.0.0.1:0": {
			Services: services, Listen: "tcp:0.0.0.0:0",
		},
		"Worker.Token holds something else than printable ASCII without spaces": {
			Services: services, Token: "a b",
		},
	} {
		if err := Serve(t.Context(), w); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
