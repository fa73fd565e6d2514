package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	av1 "example.com/hsu/gen/av1"
	"example.com/hsu/hsu"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

const (
	// maxSentences of one text: the work grows with their square.
	maxSentences = 2000
	// defaultSentences of a summary, when the request doesn't say.
	defaultSentences = 3
)

// stopWordLines holds words that say nothing, one or more on a line; what follows a # is a remark.
//
//go:embed stopwords.txt
var stopWordLines string

// A summarizer answers calls of interface A.
type summarizer struct {
	av1.UnimplementedInterfaceAServer
	stopWords map[string]bool
}

func (s *summarizer) load(context.Context, hsu.Progress) error {
	s.stopWords = map[string]bool{}
	for line := range strings.Lines(stopWordLines) {
		words, _, _ := strings.Cut(line, "#")
		for _, word := range strings.Fields(words) {
			s.stopWords[strings.ToLower(word)] = true
		}
	}
	return nil
}

func (s *summarizer) unload(context.Context) error {
	s.stopWords = nil
	return nil
}

// Summarize returns the best sentences in the order in which the text has them.
func (s *summarizer) Summarize(
	ctx context.Context, request *av1.SummarizeRequest,
) (*av1.SummarizeResponse, error) {
	best, total, err := s.best(ctx, request)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(best, func(a, b *av1.SummaryChunk) int { return cmp.Compare(a.Position, b.Position) })
	texts := make([]string, len(best))
	for i, chunk := range best {
		texts[i] = chunk.Text
	}
	return &av1.SummarizeResponse{
		Summary: strings.Join(texts, " "), Chunks: best, TotalSentences: uint32(total),
	}, nil
}

// StreamSummary sends the best sentences one by one, best first.
func (s *summarizer) StreamSummary(
	request *av1.SummarizeRequest, stream grpc.ServerStreamingServer[av1.SummaryChunk],
) error {
	best, _, err := s.best(stream.Context(), request)
	if err != nil {
		return err
	}
	for _, chunk := range best {
		if err := stream.Send(chunk); err != nil {
			return err
		}
	}
	return nil
}

// best finds the sentences asked for, best first, and how many the text has.
func (s *summarizer) best(
	ctx context.Context, request *av1.SummarizeRequest,
) ([]*av1.SummaryChunk, int, error) {
	found, err := sentences(ctx, request.Text, s.stopWords, maxSentences)
	if errors.Is(err, errTooMany) {
		return nil, 0, badText(fmt.Sprintf(
			"it has more than %d sentences; send it in parts", maxSentences))
	}
	if err != nil {
		return nil, 0, err
	}
	if len(found) == 0 {
		problem := "it is empty"
		if strings.TrimSpace(request.Text) != "" {
			problem = "it holds no sentence; send a text with at least one word of prose"
		}
		return nil, 0, badText(problem)
	}
	scores, err := rank(ctx, found)
	if err != nil {
		return nil, 0, err
	}
	order := make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	// Rounded, so that noise in the last digits doesn't decide between two that are equal; of those
	// the earlier one is better.
	rounded := func(at int) float64 { return math.Round(scores[at] * 1e9) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rounded(b), rounded(a)) })

	count := int(request.Sentences)
	if count == 0 {
		count = defaultSentences
	}
	best := make([]*av1.SummaryChunk, 0, min(count, len(order)))
	for place, at := range order[:min(count, len(order))] {
		best = append(best, &av1.SummaryChunk{
			Text: found[at].text, Rank: uint32(place + 1), Position: uint32(at), Score: scores[at],
		})
	}
	return best, len(found), nil
}

func badText(problem string) error {
	plain := status.New(codes.InvalidArgument, "text: "+problem)
	detailed, err := plain.WithDetails(protoadapt.MessageV1Of(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "text", Description: problem}},
	}))
	if err != nil {
		return plain.Err()
	}
	return detailed.Err()
}
