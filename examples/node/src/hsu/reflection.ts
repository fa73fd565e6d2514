import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";

/** Serves reflection, v1 and v1alpha, of some services. */
export function serveReflection(server: Server, services: readonly DescService[]): void {
  // It wants what proto-loader makes of a .proto, and reads the descriptors alone.
  const loaded = services.map((service) => [
    service.typeName,
    {
      format: "Protocol Buffer 3 DescriptorProto",
      type: {},
      fileDescriptorProtos: [...withImports(service.file)].map((file) =>
        Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
      ),
    },
  ]) as [string, object][];
  const definition = Object.fromEntries(loaded) as ConstructorParameters<
    typeof ReflectionService
  >[0];
  new ReflectionService(definition).addToServer(server);
}

function withImports(file: DescFile, found = new Set<DescFile>()): Set<DescFile> {
  for (const imported of file.dependencies) {
    withImports(imported, found);
  }
  return found.add(file);
}
