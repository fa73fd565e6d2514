package com.example.hsu;

import com.google.protobuf.Descriptors.ServiceDescriptor;
import hsu.a.v1.HsuA;
import hsu.core.v1.CoreGrpc.CoreImplBase;
import hsu.core.v1.HsuCore.GetStatusRequest;
import hsu.core.v1.HsuCore.GetStatusResponse;
import hsu.core.v1.HsuCore.HandshakeRequest;
import hsu.core.v1.HsuCore.HandshakeResponse;
import hsu.core.v1.HsuCore.InterfaceInfo;
import hsu.core.v1.HsuCore.Limits;
import hsu.core.v1.HsuCore.MethodInfo;
import hsu.core.v1.HsuCore.PingRequest;
import hsu.core.v1.HsuCore.PingResponse;
import hsu.core.v1.HsuCore.ShutdownRequest;
import hsu.core.v1.HsuCore.ShutdownResponse;
import hsu.core.v1.HsuCore.StartRequest;
import hsu.core.v1.HsuCore.StartResponse;
import hsu.core.v1.HsuCore.StopRequest;
import hsu.core.v1.HsuCore.StopResponse;
import io.grpc.stub.StreamObserver;
import java.time.Duration;

/** hsu.core.v1.Core: what a master says to a worker. */
final class Core extends CoreImplBase {
  static final ServiceDescriptor OWN = HsuA.getDescriptor().findServiceByName("InterfaceA");

  /** The last table of the page's section on fingerprints has it. */
  private static final String FINGERPRINT =
      "f99ee974130f86e15ca2d66928fcd51cf04740738c229b0644f081a230aac757";

  private final String instance;
  private final Life life;
  private volatile boolean claimed;

  Core(String instance, Life life) {
    this.instance = instance;
    this.life = life;
  }

  boolean claimed() {
    return claimed;
  }

  @Override
  public void handshake(HandshakeRequest request, StreamObserver<HandshakeResponse> caller) {
    claimed = true;
    var own = InterfaceInfo.newBuilder().setName(OWN.getFullName()).setFingerprint(FINGERPRINT);
    for (var method : OWN.getMethods()) {
      own.addMethods(
          MethodInfo.newBuilder()
              .setName(method.getName())
              .setClientStreaming(method.isClientStreaming())
              .setServerStreaming(method.isServerStreaming())
              .setInput(method.getInputType().getFullName())
              .setOutput(method.getOutputType().getFullName()));
    }
    var limits = Limits.newBuilder();
    limits.setMessageBytes(Worker.MESSAGE_BYTES).setMetadataBytes(Worker.METADATA_BYTES);
    Answer.with(
        caller,
        () ->
            HandshakeResponse.newBuilder()
                .setContractVersion(1)
                .setInstance(instance)
                .setName("hsu-a-java")
                .setVersion("0.1.0")
                .setPid((int) ProcessHandle.current().pid())
                .setLanguage("java")
                .addInterfaces(own)
                .setLimits(limits)
                .setState(life.state())
                .build());
  }

  @Override
  public void start(StartRequest request, StreamObserver<StartResponse> caller) {
    Answer.with(caller, () -> StartResponse.newBuilder().setState(life.start()).build());
  }

  @Override
  public void stop(StopRequest request, StreamObserver<StopResponse> caller) {
    Answer.with(caller, () -> StopResponse.newBuilder().setState(life.stop()).build());
  }

  @Override
  public void ping(PingRequest request, StreamObserver<PingResponse> caller) {
    Answer.with(
        caller,
        () ->
            PingResponse.newBuilder()
                .setPayload(request.getPayload())
                .setInstance(instance)
                .setState(life.state())
                .setCallsInFlight(life.calls())
                .build());
  }

  @Override
  public void getStatus(GetStatusRequest request, StreamObserver<GetStatusResponse> caller) {
    var status = GetStatusResponse.newBuilder();
    status.setState(life.state()).setCallsInFlight(life.calls());
    Answer.with(caller, status::build);
  }

  @Override
  public void shutdown(ShutdownRequest request, StreamObserver<ShutdownResponse> caller) {
    var asked = request.getGrace();
    Duration grace =
        request.hasGrace()
            ? Duration.ofSeconds(asked.getSeconds(), asked.getNanos())
            : Life.GRACE;
    Duration kept = life.leave(grace);
    var told = ShutdownResponse.newBuilder();
    told.getGraceBuilder().setSeconds(kept.getSeconds()).setNanos(kept.getNano());
    Answer.with(caller, told::build);
  }
}
