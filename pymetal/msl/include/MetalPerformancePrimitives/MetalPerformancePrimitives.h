#error unsupported Metal feature: tensors
