package hsu

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// live is SERVING for as long as the process answers at all, also while it drains: a liveness probe
// on "" would kill a process that is finishing its calls.
const live = "live"

// health tells the state of the worker as load balancers and probes ask for it.
type health struct {
	healthpb.UnimplementedHealthServer
	lifecycle *lifecycle
	departure *departure
	// names of the interfaces, and "" for all of them.
	names []string
}

func (h *health) of(name string) (healthpb.HealthCheckResponse_ServingStatus, bool) {
	switch {
	case name == live:
		return healthpb.HealthCheckResponse_SERVING, true
	case !slices.Contains(h.names, name):
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, false
	case h.lifecycle.isRunning():
		return healthpb.HealthCheckResponse_SERVING, true
	}
	return healthpb.HealthCheckResponse_NOT_SERVING, true
}

func (h *health) Check(
	_ context.Context, request *healthpb.HealthCheckRequest,
) (*healthpb.HealthCheckResponse, error) {
	found, known := h.of(request.Service)
	if !known {
		return nil, status.Errorf(codes.NotFound, "%s is not served here", request.Service)
	}
	return &healthpb.HealthCheckResponse{Status: found}, nil
}

func (h *health) List(
	context.Context, *healthpb.HealthListRequest,
) (*healthpb.HealthListResponse, error) {
	statuses := map[string]*healthpb.HealthCheckResponse{}
	for _, name := range append([]string{live}, h.names...) {
		found, _ := h.of(name)
		statuses[name] = &healthpb.HealthCheckResponse{Status: found}
	}
	return &healthpb.HealthListResponse{Statuses: statuses}, nil
}

func (h *health) Watch(
	request *healthpb.HealthCheckRequest,
	stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	told := healthpb.HealthCheckResponse_UNKNOWN
	for {
		_, _, change := h.lifecycle.now()
		if found, _ := h.of(request.Service); found != told {
			told = found
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: found}); err != nil {
				return err
			}
			continue
		}
		select {
		case <-h.departure.began:
			return nil
		default:
		}
		select {
		case <-change:
		case <-h.departure.began:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
