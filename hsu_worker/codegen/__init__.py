"""From `.proto` files to typed Python: protoc, its descriptors, and the text made of them."""
