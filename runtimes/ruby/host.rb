# frozen_string_literal: true

# Runs a Ruby function: loads the handler that _HANDLER names, then serves events over the frames of descriptor 3
# (docs/formats/frames.md). What the function prints goes to standard output, as on Lambda.
# Streamed answers and clones of live templates are absent.

require 'json'

module Cumulet
  # Frames over the host's socket.
  class Channel
    def initialize
      @socket = IO.for_fd(3, 'r+b')
      @socket.sync = true
      @socket.close_on_exec = true
    end

    def send(type, body = '')
      body = body.b
      @socket.write([body.bytesize + 1].pack('V'), type, body)
    end

    # The next event's header and payload; nil when the host is gone.
    def event
      length = @socket.read(4)
      return nil if length.nil? || length.bytesize < 4

      frame = @socket.read(length.unpack1('V'))
      raise 'no event' unless frame && frame.getbyte(0) == 'E'.ord

      header_bytes = frame.byteslice(1, 4).unpack1('V')
      header = JSON.parse(frame.byteslice(5, header_bytes).force_encoding('UTF-8'))
      [header, frame.byteslice((5 + header_bytes)..).force_encoding('UTF-8')]
    end
  end

  # What Lambda's context object has
  # (https://docs.aws.amazon.com/lambda/latest/dg/ruby-context.html).
  class Context
    attr_reader :aws_request_id, :invoked_function_arn, :deadline_ms, :client_context, :tenant_id

    def initialize(header)
      @aws_request_id = header['requestId']
      @invoked_function_arn = header['arn']
      @deadline_ms = header['deadlineMs']
      @tenant_id = header['tenantId']
      @client_context = JSON.parse(header['clientContext']) if header['clientContext']
    rescue JSON::ParserError
      @client_context = nil
    end

    def function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    def function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    def memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'].to_i
    def log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    def log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    def identity = nil

    def get_remaining_time_in_millis
      now = Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)
      [deadline_ms - now, 0].max
    end
  end

  # `file.method`, or `file.Module::Class.method`.
  class Handler
    def initialize(name)
      parts = name.to_s.split('.')
      unless [2, 3].include?(parts.length)
        raise ArgumentError, "Invalid handler #{name}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD " \
                             'where FILENAME corresponds with an existing Ruby source file FILENAME.rb, ' \
                             'CLASS is an optional module/class namespace and METHOD is a callable method.'
      end
      @file = parts.first
      @class_name = parts[1] if parts.length == 3
      @method = parts.last.to_sym
    end

    def load
      require File.join(ENV.fetch('LAMBDA_TASK_ROOT'), @file)
      @owner = @class_name ? Kernel.const_get(@class_name) : Kernel
      found = @owner.respond_to?(@method, true) || Object.private_method_defined?(@method)
      raise NameError, "undefined method `#{@method}'" unless found
    end

    def call(event, context)
      return @owner.send(@method, event: event, context: context) if @class_name

      Object.new.send(@method, event: event, context: context)
    end
  end

  # What the environment says of the event. setenv keeps every value that it is ever given, 150 bytes an event: after the
  # first few the variable's place is written to instead.
  module Trace
    NAME = '_X_AMZN_TRACE_ID'
    FEW = 100
    BYTES_MAX = 512

    @told = 0

    def self.tell(text)
      @told += 1
      return ENV[NAME] = text if @told <= FEW || text.nil? || text.bytesize > BYTES_MAX

      prepare unless @variable
      assignment = "#{NAME}=#{text}\0"
      @variable[0, assignment.bytesize] = assignment
      @putenv.call(@variable)
    end

    def self.prepare
      require 'fiddle'
      @putenv = Fiddle::Function.new(Fiddle::Handle::DEFAULT['putenv'], [Fiddle::TYPE_VOIDP], Fiddle::TYPE_INT)
      # For as long as the process lives.
      @variable = Fiddle::Pointer.malloc(NAME.bytesize + 2 + BYTES_MAX)
    end
  end

  def self.error_object(error, type = nil)
    {
      errorMessage: error.message,
      errorType: type || "Function<#{error.class}>",
      stackTrace: (error.backtrace || []).reject { |line| line.start_with?(__FILE__) }
    }.to_json
  rescue JSON::GeneratorError
    { errorMessage: error.message.dup.force_encoding('UTF-8').scrub, errorType: error.class.to_s, stackTrace: [] }.to_json
  end

  def self.answer(handler, header, payload)
    Trace.tell(header['trace'])
    event = payload.empty? ? nil : JSON.parse(payload)
    result = handler.call(event, Context.new(header))
    ['S', result.to_json]
  rescue Exception => e # rubocop:disable Lint/RescueException
    raise if e.is_a?(SystemExit) || e.is_a?(SignalException)

    warn(error_object(e))
    ['F', error_object(e)]
  end

  def self.run
    $stdout.sync = true
    $stderr.sync = true
    channel = Channel.new
    begin
      handler = Handler.new(ENV['_HANDLER'])
      handler.load
    rescue Exception => e # rubocop:disable Lint/RescueException
      channel.send('I', error_object(e, "Init<#{e.class}>"))
      exit!(1)
    end
    channel.send('R')
    while (header, payload = channel.event)
      type, body = answer(handler, header, payload)
      channel.send(type, body)
    end
  end
end

Cumulet.run
