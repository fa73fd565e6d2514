package hsu

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	// Requests may be compressed.
	_ "google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/encoding/proto"
)

// A request is where a message is read to. grpc ends a call by itself when its bytes are not the
// method's request, with INTERNAL; here it ends as the contract says.
type request struct {
	message   any
	malformed error
}

// codec is grpc's own one, which fills requests too.
type codec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 {
	return codec{encoding.GetCodecV2("proto")}
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	into, ok := v.(*request)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	into.malformed = c.CodecV2.Unmarshal(data, into.message)
	return nil
}

// receive reads a message, with what grpc gives for it.
func receive(from func(any) error, message any, path string) error {
	into := &request{message: message}
	if err := from(into); err != nil {
		return err
	}
	if into.malformed != nil {
		return refuse(codes.InvalidArgument, "MALFORMED_REQUEST",
			fmt.Sprintf("the request of %s is malformed", path))
	}
	return nil
}
