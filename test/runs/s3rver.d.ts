declare module "s3rver" {
  interface S3Object {
    readonly bucket: string
    readonly key: string
    readonly metadata: object
    readonly content: AsyncIterable<Buffer>
  }
  export default class S3rver {
    constructor(options: {
      readonly address: string
      readonly port: number
      readonly silent: boolean
      readonly directory: string
      readonly configureBuckets: ReadonlyArray<{ readonly name: string }>
    })
    readonly store: {
      putObject: (object: S3Object) => Promise<{ readonly size: number; readonly md5: string }>
      getResourcePath(bucket: string, key: string, resource: "object"): string
      putMetadata(bucket: string, key: string, metadata: object, md5: string): Promise<void>
    }
    run(): Promise<{ readonly port: number }>
    close(): Promise<void>
  }
}
