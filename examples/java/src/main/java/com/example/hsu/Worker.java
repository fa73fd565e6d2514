package com.example.hsu;

import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import sun.misc.Signal;

/** One process: it listens, says so, and leaves; docs/launch-contract.md says when. */
public final class Worker {
  static final int MESSAGE_BYTES = 4 << 20;
  static final int METADATA_BYTES = 16 << 10;
  // grpc sets TCP's options on Unix sockets, too, and netty complains of each connection.
  private static final Logger NETTY =
      Logger.getLogger("io.grpc.netty.shaded.io.netty.bootstrap.ServerBootstrap");
  private static final Pattern TCP = Pattern.compile("tcp:(.+):(\\d{1,5})");

  public static void main(String[] arguments) throws Exception {
    NETTY.setLevel(Level.SEVERE);
    String instance = variable("HSU_INSTANCE");
    String token = variable("HSU_TOKEN");
    String listen = variable("HSU_LISTEN");
    var health = new HealthStatusManager();
    var life = new Life(health);
    var signals = new AtomicInteger();
    for (String name : new String[] {"TERM", "INT"}) {
      Signal.handle(new Signal(name), signal -> leave(life, signals.incrementAndGet()));
    }
    if (!"none".equals(System.getenv("HSU_LIFELINE"))) {
      var lifeline = new Thread(() -> watch(life));
      lifeline.setDaemon(true);
      lifeline.start();
    }
    var core = new Core(instance, life);
    var guard = new Guard(token, life);
    Server server =
        listening(listen)
            .addService(health.getHealthService())
            .addService(guard.around(core.bindService()))
            .addService(guard.around(new Summarizer().bindService()))
            .addService(guard.around(ProtoReflectionServiceV1.newInstance().bindService()))
            .maxInboundMessageSize(MESSAGE_BYTES)
            .maxInboundMetadataSize(METADATA_BYTES)
            .permitKeepAliveTime(5, TimeUnit.SECONDS)
            .build();
    try {
      server.start();
    } catch (IOException error) {
      throw unusable("HSU_LISTEN", error.getMessage());
    }
    life.began(server);
    String address = listen.replaceFirst("^(tcp:.*):0$", "$1:" + server.getPort());
    announce("HSU 1 " + instance + " " + address + "\n");
    Thread.sleep(15_000);
    if (!core.claimed()) {
      life.leave(Duration.ZERO);
    }
  }

  private static NettyServerBuilder listening(String listen) {
    Matcher tcp = TCP.matcher(listen);
    if (tcp.matches()) {
      int port = Integer.parseInt(tcp.group(2));
      return NettyServerBuilder.forAddress(new InetSocketAddress(tcp.group(1), port));
    }
    if (!listen.startsWith("unix:/")) {
      throw unusable("HSU_LISTEN", "neither unix:<absolute path> nor tcp:<host>:<port>");
    }
    var loops = new EpollEventLoopGroup();
    return NettyServerBuilder.forAddress(new DomainSocketAddress(listen.substring(5)))
        .channelType(EpollServerDomainSocketChannel.class)
        .bossEventLoopGroup(loops)
        .workerEventLoopGroup(loops);
  }

  private static void announce(String line) throws Exception {
    String number = System.getenv("HSU_ANNOUNCE_FD");
    FileDescriptor descriptor = FileDescriptor.out;
    if (number != null) {
      // Opening /dev/fd/N would leave N itself open, and the master reads until it is closed.
      var constructor = FileDescriptor.class.getDeclaredConstructor(int.class);
      constructor.setAccessible(true);
      descriptor = constructor.newInstance(Integer.parseInt(number));
    }
    var output = new FileOutputStream(descriptor);
    output.write(line.getBytes(StandardCharsets.US_ASCII));
    if (number != null) {
      output.close();
    }
  }

  private static void watch(Life life) {
    try {
      while (System.in.read() >= 0) {}
    } catch (IOException error) {
      // As good as its end.
    }
    life.leave(Duration.ofSeconds(2));
  }

  private static void leave(Life life, int signals) {
    if (signals > 1) {
      Runtime.getRuntime().halt(1);
    }
    life.leave(Life.GRACE);
  }

  private static String variable(String name) {
    String value = System.getenv(name);
    if (value == null || value.isEmpty()) {
      throw unusable(name, "missing; a master launches this worker");
    }
    return value;
  }

  /** Ends the process; "thrown" only so that the compiler knows. */
  private static IllegalStateException unusable(String name, String why) {
    System.err.println(name + ": " + why);
    Runtime.getRuntime().halt(3);
    return new IllegalStateException(name);
  }
}
