package com.example.hsu;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import hsu.core.v1.HsuCore.State;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;

/** Lets in who has the token, and to its own interface in RUNNING only. */
final class Guard implements ServerInterceptor {
  private static final Metadata.Key<String> AUTHORIZATION = key("authorization");
  private static final Metadata.Key<String> DISPATCHED = key("hsu-dispatched");
  private static final String OWN = Core.OWN.getFullName();
  private final byte[] expected;
  private final Life life;

  Guard(String token, Life life) {
    this.expected = ("Bearer " + token).getBytes(StandardCharsets.UTF_8);
    this.life = life;
  }

  ServerServiceDefinition around(ServerServiceDefinition service) {
    return ServerInterceptors.intercept(service, this);
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    if (!knows(headers)) {
      return refuse(call, Status.UNAUTHENTICATED.withDescription("the token is wrong"), new Metadata());
    }
    if (!OWN.equals(call.getMethodDescriptor().getServiceName())) {
      return next.startCall(call, headers);
    }
    if (!life.enter()) {
      return refuse(call);
    }
    return new SimpleForwardingServerCallListener<>(next.startCall(dispatched(call), headers)) {
      @Override
      public void onComplete() {
        super.onComplete();
        life.exit();
      }

      @Override
      public void onCancel() {
        super.onCancel();
        life.exit();
      }
    };
  }

  /** The call, whose failure says that a handler may have run. */
  private static <Q, R> ServerCall<Q, R> dispatched(ServerCall<Q, R> call) {
    return new SimpleForwardingServerCall<>(call) {
      @Override
      public void close(Status status, Metadata trailers) {
        if (!status.isOk()) {
          trailers.put(DISPATCHED, "yes");
        }
        super.close(status, trailers);
      }
    };
  }

  private boolean knows(Metadata headers) {
    Iterable<String> values = headers.getAll(AUTHORIZATION);
    if (values == null) {
      return false;
    }
    boolean right = true;
    int count = 0;
    for (String value : values) {
      right &= MessageDigest.isEqual(expected, value.getBytes(StandardCharsets.UTF_8));
      count++;
    }
    return right && count == 1;
  }

  private <Q> ServerCall.Listener<Q> refuse(ServerCall<Q, ?> call) {
    String state = life.state().name().substring("STATE_".length());
    String reason = life.state() == State.STATE_DRAINING ? "DRAINING" : "NOT_RUNNING";
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.UNAVAILABLE.value())
            .setMessage(state)
            .addDetails(Any.pack(ErrorInfo.newBuilder().setDomain("hsu").setReason(reason).build()))
            .build();
    var refusal = StatusProto.toStatusRuntimeException(status);
    return refuse(call, refusal.getStatus(), refusal.getTrailers());
  }

  private static <Q> ServerCall.Listener<Q> refuse(
      ServerCall<Q, ?> call, Status status, Metadata trailers) {
    trailers.put(DISPATCHED, "no");
    call.close(status, trailers);
    return new ServerCall.Listener<>() {};
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }
}
